//! What arrives on the target, as a load tells it.

use super::{Board, Waiting};
use crate::restore::LoadWatch;

impl LoadWatch for Board {
    fn loaded(&self, namespace: u32, documents: u64, bytes: u64) {
        let first = {
            let mut state = self.state();
            state.status.documents += documents;
            state.status.bytes += bytes;
            state.collections.loaded(namespace, documents, bytes)
        };
        // What a process before this one has copied is counted once more, and is no news.
        if let Some(namespace) = first.filter(|namespace| !self.paths.done(namespace).exists()) {
            self.log(Some(&namespace), "its copy arrives on the target");
        }
        self.waits_for(Waiting::Stage, None);
        self.outer.advance(documents, bytes);
    }

    fn anew(&self, namespace: u32) {
        let Some(namespace) = self.state().collections.name(namespace) else { return };
        // There or not: what stands there is of a copy that does not count any more.
        let _ = std::fs::remove_file(self.paths.done(&namespace));
    }

    fn complete(&self, namespace: u32) {
        let Some(whole) = self.state().collections.whole(namespace) else { return };
        let done = self.paths.done(&whole.namespace);
        let is_known = done.exists();
        // For scripts that wait for it, as those did that this replaces; nothing here relies on it.
        let _ = std::fs::write(done, format!("{}\n", whole.documents));
        if is_known {
            return;
        }
        let (documents, bytes, seconds) = (whole.documents, whole.bytes, whole.took.as_secs_f64());
        let line = format!("copied, {documents} documents, {bytes} bytes, in {seconds:.1} s");
        self.log(Some(&whole.namespace), &line);
    }
}
