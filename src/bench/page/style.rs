//! How the page looks: light, dark, and on paper.

/// The style sheet. Colours are named once for light and once for dark; paper is always light.
pub(super) const STYLE: &str = "
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #16202c; --soft: #5b6776; --line: #dfe4ea; --accent: #1769c4; --on-accent: #ffffff;
  --other: #98a4b3; --limit: #c9d2dc; --warn: #fff4d6; --warn-line: #e3b341;
  --server: #3f6fd1; --copy: #b57a00; --compress: #d9553f; --checksum: #3aa089; --write: #8a63c9; --inside: #ffffff; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0f141a; --card: #171e26; --ink: #e6ebf1; --soft: #9aa7b5; --line: #2b3541; --accent: #5aa7ff; --on-accent: #08131f;
  --other: #6b7887; --limit: #3a4653; --warn: #2f2813; --warn-line: #a47f1e;
  --server: #7098f0; --copy: #e9b94a; --compress: #ef8270; --checksum: #5cc4ac; --write: #b196ea; --inside: #10161d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header p { margin: 0.25rem 0; color: var(--soft); text-wrap: pretty; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.01em; }
h2 { margin: 0 0 0.25rem; font-size: 1.2rem; }
h3 { margin: 1.5rem 0 0.25rem; font-size: 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem 1.5rem 1.5rem; margin-top: 1.25rem; }
section p { margin: 0 0 0.9rem; color: var(--soft); max-width: 48rem; }
.verdict { margin: 1.1rem 0 0; padding: 0.8rem 1.1rem; border-left: 4px solid var(--accent); background: var(--card);
  border-radius: 0 8px 8px 0; font-size: 1.1rem; color: var(--ink); }
.warning { margin: 0.8rem 0 0; padding: 0.6rem 1rem; border-left: 4px solid var(--warn-line); background: var(--warn); border-radius: 0 8px 8px 0; color: var(--ink); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.8rem; margin-top: 1.25rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 0.9rem 1.1rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.2; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 0.88rem; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: 0.88rem; margin-top: 0.35rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); }
svg .soft { fill: var(--soft); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .ours { fill: var(--accent); }
svg .other { fill: var(--other); }
svg .limit { fill: var(--limit); }
svg .whisker { stroke: var(--ink); stroke-width: 1.4; fill: none; }
svg .run { fill: var(--card); stroke: var(--ink); stroke-width: 1.2; }
svg .curve { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
svg .earlier { stroke-opacity: 0.4; }
svg .reference { stroke: var(--soft); stroke-width: 1.4; stroke-dasharray: 5 4; }
svg .cell { fill: var(--accent); stroke: var(--card); stroke-width: 2; }
svg .on-accent { fill: var(--on-accent); }
svg .server { fill: var(--server); } svg .copy { fill: var(--copy); } svg .compress { fill: var(--compress); }
svg .checksum { fill: var(--checksum); } svg .write { fill: var(--write); }
svg .inside { fill: var(--inside); font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; margin-top: 0.9rem; }
caption { text-align: left; color: var(--soft); font-size: 0.88rem; padding-bottom: 0.3rem; }
th, td { padding: 0.36rem 0.55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 500; }
td.left, th.left { text-align: left; white-space: normal; overflow-wrap: anywhere; }
code { font: 0.88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.3rem 1.2rem; margin: 0; font-size: 0.92rem; }
ul { margin: 0.9rem 0 0; padding-left: 1.2rem; font-size: 0.92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { main { padding-top: 1.5rem; } section { padding: 1rem; } dl { grid-template-columns: 1fr; } dd { margin-bottom: 0.4rem; } }
@media print {
  :root { color-scheme: light; --page: #ffffff; --card: #ffffff; --ink: #000000; --soft: #444444; --line: #cccccc; --accent: #1769c4; --on-accent: #ffffff;
    --other: #98a4b3; --limit: #c9d2dc; --warn: #ffffff;
    --server: #3f6fd1; --copy: #b57a00; --compress: #d9553f; --checksum: #3aa089; --write: #8a63c9; --inside: #ffffff; }
  @page { margin: 14mm; }
  body { font-size: 10.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  .tile, figure, tr, li { break-inside: avoid; }
  h2, h3, section p, caption { break-after: avoid; }
  .tiles { grid-template-columns: repeat(5, 1fr); gap: 0.5rem; } .tile { padding: 0.5rem 0.7rem; } .tile b { font-size: 1.2rem; }
  section { border: 0; padding: 0.4rem 0; border-radius: 0; margin-top: 0.9rem; }
  table { font-size: 8.5pt; } th, td { padding: 0.2rem 0.45rem; }
  .scroll { overflow: visible; }
}
";
