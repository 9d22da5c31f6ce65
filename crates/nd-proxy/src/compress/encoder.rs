//! The coders, set to need little memory: an answer is in the making for as long as its client takes.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::rc::Rc;

use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use nd_types::ContentCoding;
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as ZstdEncoder;

/// What all encoders of all workers may take, in KiB; where no more is left answers pass as they are.
const MOST_KIB: usize = 24 * 1024;
/// Each worker may have so much of it at least.
const LEAST_KIB: usize = 3 * 1024;
/// Twice the level that costs least; higher ones take several times as long for a few percent.
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: u32 = 4;
/// How far back a coder looks, as a power of two in bytes.
const WINDOW_LOG: u32 = 17;
/// The largest tables of zstd, likewise in entries.
const TABLE_LOG: u32 = 15;
/// What brotli collects before it hands it on.
const BROTLI_BUFFER: usize = 4096;

/// What an encoder takes, measured with the settings above.
fn kib(coding: ContentCoding) -> usize {
    match coding {
        ContentCoding::Zstd => 840,
        ContentCoding::Br => 2400,
        ContentCoding::Gzip => 420,
    }
}

/// The encoders of one worker.
#[derive(Debug)]
pub(crate) struct Encoders {
    free_kib: Cell<usize>,
}

/// Compresses one body.
pub(crate) struct Encoder {
    coder: Coder,
    _place: Place,
}

enum Coder {
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    Br(Box<CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
    Done,
}

/// What an encoder takes, given back when it is dropped.
struct Place {
    encoders: Rc<Encoders>,
    kib: usize,
}

impl Encoders {
    /// Those of one of `workers`.
    pub(crate) fn of_one(workers: usize) -> Rc<Self> {
        Rc::new(Self { free_kib: Cell::new((MOST_KIB / workers.max(1)).max(LEAST_KIB)) })
    }

    /// Whether another one may be made.
    pub(crate) fn have_room(&self, coding: ContentCoding) -> bool {
        self.free_kib.get() >= kib(coding)
    }
}

impl Encoder {
    /// An encoder; it counts until it is dropped.
    pub(crate) fn new(coding: ContentCoding, encoders: &Rc<Encoders>) -> io::Result<Self> {
        let kib = kib(coding);
        encoders.free_kib.set(encoders.free_kib.get().saturating_sub(kib));
        let place = Place { encoders: Rc::clone(encoders), kib };
        let coder = match coding {
            ContentCoding::Gzip => Coder::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            ContentCoding::Br => {
                let writer = CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI_QUALITY, WINDOW_LOG);
                Coder::Br(Box::new(writer))
            }
            ContentCoding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
                encoder.set_parameter(CParameter::HashLog(TABLE_LOG))?;
                encoder.set_parameter(CParameter::ChainLog(TABLE_LOG))?;
                Coder::Zstd(encoder)
            }
        };
        Ok(Self { coder, _place: place })
    }

    /// Takes content; what comes of it is in [`Self::output`], now or later.
    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        match &mut self.coder {
            Coder::Zstd(coder) => coder.write_all(content),
            Coder::Br(coder) => coder.write_all(content),
            Coder::Gzip(coder) => coder.write_all(content),
            Coder::Done => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Gives out all that was taken, so that the client can read it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.coder {
            Coder::Zstd(coder) => coder.flush(),
            Coder::Br(coder) => coder.flush(),
            Coder::Gzip(coder) => coder.flush(),
            Coder::Done => Ok(()),
        }
    }

    /// Ends the body; returns the last bytes.
    pub(crate) fn finish(&mut self) -> io::Result<Vec<u8>> {
        match std::mem::replace(&mut self.coder, Coder::Done) {
            Coder::Zstd(coder) => coder.finish(),
            Coder::Br(coder) => Ok(coder.into_inner()),
            Coder::Gzip(coder) => coder.finish(),
            Coder::Done => Ok(Vec::new()),
        }
    }

    /// What is ready to be sent; whoever sends it clears it.
    pub(crate) fn output(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.coder {
            Coder::Zstd(coder) => Some(coder.get_mut()),
            Coder::Br(coder) => Some(coder.get_mut()),
            Coder::Gzip(coder) => Some(coder.get_mut()),
            Coder::Done => None,
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.encoders.free_kib.set(self.encoders.free_kib.get() + self.kib);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn decoded(coding: ContentCoding, bytes: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        match coding {
            ContentCoding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut content),
            ContentCoding::Br => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut content),
            ContentCoding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut content),
        }
        .unwrap();
        content
    }

    #[test]
    fn what_goes_in_comes_out_and_pieces_can_be_read_at_once() {
        let encoders = Encoders::of_one(2);
        for coding in ContentCoding::ALL {
            let mut encoder = Encoder::new(coding, &encoders).unwrap();
            let mut bytes = Vec::new();
            for n in 0..200 {
                encoder.write(format!("line {n} of the body\n").as_bytes()).unwrap();
                if n % 50 == 0 {
                    encoder.flush().unwrap();
                    assert!(!encoder.output().unwrap().is_empty(), "{coding}");
                }
                bytes.append(encoder.output().unwrap());
            }
            bytes.extend(encoder.finish().unwrap());
            let content = String::from_utf8(decoded(coding, &bytes)).unwrap();
            assert!(
                content.ends_with("line 199 of the body\n") && bytes.len() < content.len() / 2,
                "{coding}"
            );
        }
    }

    #[test]
    fn only_so_many_are_made_at_once() {
        let encoders = Encoders::of_one(100);
        let made: Vec<_> = (0..7).map(|_| Encoder::new(ContentCoding::Gzip, &encoders).unwrap()).collect();
        assert!(!encoders.have_room(ContentCoding::Gzip));
        drop(made);
        assert!(encoders.have_room(ContentCoding::Br));
    }
}
