//! Panics on demand, in tests only: `failpoint!(files, "scan")` is nothing in the program.
//!
//! A point belongs to an engine (its `Files`, which everything reaches), so that tests that run at
//! the same time do not meet each other's panics.

/// Panic here when a test has armed the point of that name.
macro_rules! failpoint {
    ($files:expr, $name:literal) => {
        #[cfg(test)]
        $files.fail.hit($name);
    };
}
pub(crate) use failpoint;

#[cfg(test)]
#[derive(Default)]
pub(crate) struct Points {
    armed: std::sync::Mutex<Option<(&'static str, usize)>>,
}

#[cfg(test)]
impl Points {
    /// The `nth` time (from 1) that the point is passed, it panics; once.
    pub fn arm(&self, name: &'static str, nth: usize) {
        *self.armed.lock().unwrap() = Some((name, nth));
    }

    /// Whether the point that was armed was never reached.
    pub fn disarm(&self) -> bool {
        self.armed.lock().unwrap().take().is_some()
    }

    pub fn hit(&self, name: &str) {
        let mut armed = self.armed.lock().unwrap();
        let Some((wanted, left)) = armed.as_mut() else { return };
        if *wanted != name {
            return;
        }
        *left -= 1;
        if *left == 0 {
            *armed = None;
            drop(armed);
            panic!("a test wants a panic at {name}");
        }
    }
}
