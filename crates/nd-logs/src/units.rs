//! How far each unit was read: known at once at a start, without reading what is sealed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use nd_types::{Timestamp, UnitId};
use serde::{Deserialize, Serialize};

use crate::line::{self, Mark};
use crate::segment::{found, private_file};

/// The file it is saved in whenever a segment is sealed; the open segment tells the rest.
const FILE: &str = "marks.json";

/// How many units of one app are remembered: far more than can exist at a time.
const UNITS: usize = 1000;

/// The last line of each unit of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Units {
    /// The highest number of a line.
    pub(crate) last_seq: u64,
    /// When the last line of each unit was written.
    newest: BTreeMap<UnitId, Timestamp>,
}

impl Units {
    /// What was saved; `None` when nothing was, or nothing that can be read.
    pub(crate) fn load(app_dir: &Path) -> io::Result<Option<Self>> {
        let Some(text) = found(fs::read(app_dir.join(FILE)))? else { return Ok(None) };
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Replaces what was saved, whole or not at all.
    pub(crate) fn save(&mut self, app_dir: &Path) -> io::Result<()> {
        self.forget_surplus();
        let unfinished = app_dir.join("marks.json.new");
        let mut file = private_file().create(true).truncate(true).write(true).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, app_dir.join(FILE))
    }

    pub(crate) fn newest(&self, unit: &UnitId) -> Option<Timestamp> {
        self.newest.get(unit).copied()
    }

    pub(crate) fn note(&mut self, seq: u64, unit: &UnitId, at: Timestamp) {
        self.last_seq = self.last_seq.max(seq);
        match self.newest.get_mut(unit) {
            // The last one and not the latest: after the clock was set back, reading goes on from there.
            Some(newest) => *newest = at,
            None => drop(self.newest.insert(unit.clone(), at)),
        }
    }

    /// Takes in the lines of a segment.
    pub(crate) fn note_all(&mut self, content: &[u8]) {
        for Mark { seq, at, unit } in content.split(|byte| *byte == b'\n').filter_map(line::mark) {
            self.note(seq, &unit, at);
        }
    }

    /// Forgets the units that have been silent for longest when there are too many. Not those that are silent for long:
    /// a quiet unit's old output would be read again as if it were new.
    fn forget_surplus(&mut self) {
        while self.newest.len() > UNITS {
            let oldest = self.newest.iter().min_by_key(|(_, newest)| **newest).map(|(unit, _)| unit.clone());
            oldest.and_then(|unit| self.newest.remove(&unit));
        }
    }
}
