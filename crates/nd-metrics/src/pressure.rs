//! Pressure stall information: how long work waits for a resource (`/proc/pressure`, Linux 4.20 and later).

use std::fs;

/// How long work waits, by resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// For a processor.
    pub cpu: Option<Stall>,
    /// For memory.
    pub memory: Option<Stall>,
    /// For disks.
    pub io: Option<Stall>,
}

/// The share of time, in percent, in which at least one task waited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// In the last 10 seconds.
    pub avg10: f64,
    /// In the last minute.
    pub avg60: f64,
    /// In the last five minutes.
    pub avg300: f64,
}

/// What the kernel measures now; nothing where it does not.
pub(crate) fn read() -> Option<Pressure> {
    let of = |resource: &str| stall(&fs::read_to_string(format!("/proc/pressure/{resource}")).ok()?);
    let pressure = Pressure { cpu: of("cpu"), memory: of("memory"), io: of("io") };
    (pressure != Pressure::default()).then_some(pressure)
}

/// The `some` line: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn stall(text: &str) -> Option<Stall> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let of = |name: &str| {
        let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name)?.1.parse::<f64>().ok().filter(|share| share.is_finite())
    };
    Some(Stall { avg10: of("avg10")?, avg60: of("avg60")?, avg300: of("avg300")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_read() {
        let text = "some avg10=1.53 avg60=0.80 avg300=0.20 total=82\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(stall(text), Some(Stall { avg10: 1.53, avg60: 0.8, avg300: 0.2 }));
    }

    #[test]
    fn another_text_is_no_pressure() {
        for text in
            ["", "full avg10=0.00", "some avg10=x avg60=0.80 avg300=0.20", "some avg10=nan avg60=0 avg300=0"]
        {
            assert_eq!(stall(text), None, "{text}");
        }
    }
}
