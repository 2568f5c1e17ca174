//! What happened, as a number that two runs can be compared by, and as text for people.

/// Collects a run's events.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    digest: u64,
    events: u64,
    /// Whether the text is printed as it happens.
    printed: bool,
}

impl Trace {
    pub(crate) fn new(printed: bool) -> Self {
        Self { printed, ..Self::default() }
    }

    /// Takes note of an event. `facts` are what makes it this one; the text is only made when
    /// somebody reads it.
    pub(crate) fn note(&mut self, now: u64, facts: &[u64], text: impl FnOnce() -> String) {
        self.events += 1;
        for fact in facts.iter().chain([&now]) {
            self.digest = (self.digest ^ fact).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        if self.printed {
            println!("{:>12.6}  {}", now as f64 / 1e6, text());
        }
    }

    /// Returns the number: equal for equal runs.
    pub(crate) fn digest(&self) -> (u64, u64) {
        (self.digest, self.events)
    }
}
