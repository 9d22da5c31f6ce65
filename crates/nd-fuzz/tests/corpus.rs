//! The short run of every target: its corpus, and changed copies of it, the same ones each time.

use std::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use nd_fuzz::TARGETS;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Changed inputs a target; all targets together take a few seconds.
const CHANGED: usize = 1_000;

/// What makes an input interesting to some parser.
const WORDS: [&[u8]; 28] = [
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"0",
    b"ffffffffffffffff",
    b"-1",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"chunked",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"\xff",
    b"\xe2\x80\xa8",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"${",
    b"&a",
    b"*a",
    b"null",
    b"18446744073709551616",
];

#[test]
fn every_target_keeps_its_promises_over_its_corpus_and_changes_of_it() -> Outcome {
    for target in TARGETS {
        let seeds = seeds(target.name)?;
        for (path, seed) in &seeds {
            check(target.name, target.run, seed, &path.display().to_string())?;
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for number in 0..CHANGED {
            let input = changed(&seeds, &mut random);
            check(target.name, target.run, &input, &format!("change {number}"))?;
        }
    }
    Ok(())
}

#[test]
fn every_corpus_belongs_to_a_target() -> Outcome {
    for entry in fs::read_dir(corpus())? {
        let name = entry?.file_name();
        let known = TARGETS.iter().any(|target| name == target.name);
        assert!(known, "corpus/{} belongs to no target", name.display());
    }
    Ok(())
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// What is in a target's corpus, by name, so that every run is the same.
fn seeds(target: &str) -> Outcome<Vec<(PathBuf, Vec<u8>)>> {
    let dir = corpus().join(target);
    let entries = fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", dir.display());
    paths.into_iter().map(|path| Ok((path.clone(), fs::read(path)?))).collect()
}

fn check(target: &str, run: fn(&[u8]), input: &[u8], what: &str) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(input))).map_err(|_| {
        let input = input.escape_ascii();
        format!("{target} broke a promise with {what}; keep it as a file of corpus/{target}: \"{input}\"")
            .into()
    })
}

/// A seed with a few changes.
fn changed(seeds: &[(PathBuf, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let mut input = random.of(seeds).map(|(_, seed)| seed.clone()).unwrap_or_default();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(9)).min(input.len());
        match random.below(5) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => drop(
                input.splice(at..at, random.of(&WORDS).into_iter().flat_map(|word| word.iter().copied())),
            ),
            3 => {
                let (_, other) = random.of(seeds).cloned().unwrap_or_default();
                let from = random.below(other.len() + 1);
                drop(input.splice(at..end, other.into_iter().skip(from).take(64)));
            }
            _ => {
                let bit = 1 << random.below(8);
                input.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
            }
        }
    }
    input
}

/// Marsaglia's xorshift: the same numbers at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).unwrap_or(0) % limit.max(1)
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
