//! Elements of HTML and SVG: what is built of them is well-formed, and no text in them can be taken for markup.

use std::fmt::{self, Display, Write};

/// An element with what stands in it.
#[derive(Clone, Debug)]
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Element(Element),
}

/// An element without anything.
pub(super) fn element(name: &'static str) -> Element {
    Element { name, attributes: Vec::new(), children: Vec::new() }
}

/// An element with a text.
pub(super) fn with_text(name: &'static str, text: impl Display) -> Element {
    element(name).text(text)
}

impl Element {
    /// With an attribute.
    pub(super) fn set(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// With a coordinate or a length in an attribute: a tenth is as much as anyone sees.
    pub(super) fn at(self, name: &'static str, value: f64) -> Self {
        let tenths = (value * 10.0).round() / 10.0;
        self.set(name, if tenths.is_finite() { tenths } else { 0.0 })
    }

    /// With a class.
    pub(super) fn class(self, class: impl Display) -> Self {
        self.set("class", class)
    }

    /// With a text behind what is there.
    pub(super) fn text(mut self, text: impl Display) -> Self {
        self.children.push(Node::Text(text.to_string()));
        self
    }

    /// With an element behind what is there.
    pub(super) fn child(mut self, child: Element) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// With several.
    pub(super) fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}=\"")?;
            escape(f, value)?;
            f.write_char('"')?;
        }
        if self.children.is_empty() && self.name == "meta" {
            return f.write_str(" />");
        }
        f.write_char('>')?;
        for child in &self.children {
            match child {
                Node::Text(text) => escape(f, text)?,
                Node::Element(child) => child.fmt(f)?,
            }
        }
        write!(f, "</{}>", self.name)
    }
}

/// A text that is nothing but text. Control characters, which names may hold, are shown as their escapes.
fn escape(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for char in text.chars() {
        match char {
            '&' => f.write_str("&amp;")?,
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '"' => f.write_str("&quot;")?,
            '\n' => f.write_char('\n')?,
            control if control.is_control() => write!(f, "{}", control.escape_default())?,
            other => f.write_char(other)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_wherever_it_stands() {
        let odd = "<script>a&b</script>\"\u{1b}";
        let shown = with_text("p", odd).set("title", odd).to_string();
        let escaped = "&lt;script&gt;a&amp;b&lt;/script&gt;&quot;\\u{1b}";
        assert_eq!(shown, format!("<p title=\"{escaped}\">{escaped}</p>"));
    }

    #[test]
    fn numbers_are_short_and_finite() {
        assert_eq!(
            element("rect").at("x", 1.26).at("y", f64::NAN).at("z", 2.0).to_string(),
            r#"<rect x="1.3" y="0" z="2"></rect>"#
        );
        assert_eq!(element("meta").set("charset", "utf-8").to_string(), r#"<meta charset="utf-8" />"#);
    }
}
