//! What is remembered of containers, up to a bound.

use std::collections::BTreeMap;

/// Far more containers than one machine runs.
const BOUND: usize = 1024;

/// One value for each container, by its id. When there is no room any more, some container is forgotten: whatever stands
/// here can be found out again.
#[derive(Debug)]
pub(crate) struct Recent<T>(BTreeMap<String, T>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Recent<T> {
    /// What is known of `container`.
    pub(crate) fn get(&self, container: &str) -> Option<&T> {
        self.0.get(container)
    }

    /// Remembers `value` instead of what was known.
    pub(crate) fn set(&mut self, container: &str, value: T) {
        if self.0.len() >= BOUND && !self.0.contains_key(container) {
            self.0.pop_first();
        }
        self.0.insert(container.to_owned(), value);
    }

    /// Forgets `container`.
    pub(crate) fn forget(&mut self, container: &str) {
        self.0.remove(container);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut recent = Recent::default();
        for number in 0..BOUND + 5 {
            recent.set(&number.to_string(), number);
        }
        recent.set("1027", 7);
        assert_eq!((recent.0.len(), recent.get("1027")), (BOUND, Some(&7)));
        recent.forget("1027");
        assert_eq!(recent.get("1027"), None);
    }
}
