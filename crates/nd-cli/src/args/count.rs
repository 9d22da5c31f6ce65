//! How many instances `scale` asks for.

use std::num::NonZeroU16;
use std::str::FromStr;

use nd_api::manifest::{Instances, InvalidLimit};

/// So many instances, or so many more or fewer than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// `3`, or `max`.
    Of(Instances),
    /// `+2`.
    More(NonZeroU16),
    /// `-1`.
    Fewer(NonZeroU16),
}

impl FromStr for Count {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.parse().ok().filter(|_| plain);
            number.ok_or_else(|| InvalidLimit::Instances(text.to_owned()))
        };
        match text.split_at_checked(1) {
            Some(("+", digits)) => number(digits).map(Self::More),
            Some(("-", digits)) => number(digits).map(Self::Fewer),
            _ => text.parse().map(Self::Of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_number_or_a_change() {
        let number = |n| NonZeroU16::new(n).unwrap();
        assert_eq!("3".parse().ok(), Some(Count::Of(Instances::Count(number(3)))));
        assert_eq!("max".parse().ok(), Some(Count::Of(Instances::Max)));
        assert_eq!("+2".parse().ok(), Some(Count::More(number(2))));
        assert_eq!("-1".parse().ok(), Some(Count::Fewer(number(1))));
        for wrong in ["+0", "-0", "+", "-", "++1", "+-1", "-1.5", "+65536", "0", "1001", "two", ""] {
            assert!(wrong.parse::<Count>().is_err(), "{wrong}");
        }
    }
}
