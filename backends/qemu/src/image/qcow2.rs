//! What an image in QEMU's own format says about itself (`docs/interop/qcow2.txt` of QEMU). Only read, and not trusted.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

const MAGIC: &[u8; 4] = b"QFI\xfb";
/// As much of the header as matters here.
const HEAD: u64 = 80;

const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA_FILE: u64 = 1 << 2;
const EXTENDED_ENTRIES: u64 = 1 << 4;
/// All features that an image may need: QEMU refuses others too.
const KNOWN: u64 = 0b1_1111;

/// The offset in an entry of a table, which has flags around it.
const OFFSET: u64 = 0x00FF_FFFF_FFFF_FE00;
const COMPRESSED: u64 = 1 << 62;
/// The largest first table that QEMU takes, in bytes.
const LARGEST_L1: u64 = 32 << 20;

/// The fixed part of the header.
#[derive(Debug)]
pub(crate) struct Head {
    /// The size of the disk that a guest sees, in bytes.
    pub(crate) size: u64,
    cluster_bits: u32,
    /// How many bytes an entry of a second table has.
    entry: u64,
    /// The first table: where it is, and how many entries it has.
    l1: (u64, u64),
    /// The table of the counts: where it is, and how many clusters it has.
    counts: (u64, u64),
    /// How many earlier contents it keeps.
    pub(crate) snapshots: u64,
}

impl Head {
    /// Reads the head of `file`; nothing if it is in another format.
    pub(crate) fn read(file: &mut File) -> std::io::Result<Option<Result<Self, &'static str>>> {
        let mut bytes = Vec::new();
        file.take(HEAD).read_to_end(&mut bytes)?;
        Ok(bytes.starts_with(MAGIC).then(|| Self::parse(&bytes)))
    }

    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let field = |at: usize, size: usize| -> Result<u64, &'static str> {
            let bytes = bytes.get(at..at + size).ok_or("its header is cut off")?;
            Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        };
        let features = match field(4, 4)? {
            2 => 0,
            3 => field(72, 8)?,
            _ => return Err("its qcow2 version is unknown"),
        };
        if field(8, 8)? != 0 {
            return Err("it names a backing file; flatten it with `qemu-img convert`");
        }
        if features & EXTERNAL_DATA_FILE != 0 {
            return Err("it keeps its data in another file; convert it with `qemu-img convert`");
        }
        if features & CORRUPT != 0 {
            return Err("it is damaged; try `qemu-img check -r all` on a copy");
        }
        if features & !KNOWN != 0 {
            return Err("it needs features that are unknown here; convert it with `qemu-img convert`");
        }
        if field(32, 4)? != 0 {
            return Err("it is encrypted; convert it with `qemu-img convert`");
        }
        let cluster_bits = match field(20, 4)? {
            #[expect(clippy::cast_possible_truncation, reason = "it is small")]
            bits @ 9..=21 => bits as u32,
            _ => return Err("its header is damaged"),
        };
        Ok(Self {
            size: field(24, 8)?,
            cluster_bits,
            entry: if features & EXTENDED_ENTRIES == 0 { 8 } else { 16 },
            l1: (field(40, 8)?, field(36, 4)?),
            counts: (field(48, 8)?, field(56, 4)?),
            snapshots: field(60, 4)?,
        })
    }

    /// Whether `file` holds everything that its tables speak of. Of the last cluster a part may be missing: QEMU itself
    /// leaves it out, and reads zeros.
    pub(crate) fn is_whole(&self, file: &mut File) -> std::io::Result<bool> {
        let length = file.metadata()?.len();
        let cluster = 1_u64 << self.cluster_bits;
        let is_inside = |at: u64, size: u64| at.checked_add(size).is_some_and(|end| end <= length);
        let (l1, entries) = self.l1;
        let (counts, clusters) = self.counts;
        let needed = self.size.div_ceil(cluster * (cluster / self.entry));
        if entries * 8 > LARGEST_L1
            || entries < needed
            || !is_inside(l1, entries * 8)
            || !is_inside(counts, clusters << self.cluster_bits)
        {
            return Ok(false);
        }
        let tables = read(file, l1, entries * 8)?;
        let tables: Vec<u64> = tables.map(|entry| entry & OFFSET).filter(|at| *at != 0).collect();
        // One cluster each, so there cannot be more; of a forgery not more is read than the file has.
        if u64::try_from(tables.len()).is_ok_and(|tables| tables > length >> self.cluster_bits) {
            return Ok(false);
        }
        let compressed_offset = (1 << (70 - self.cluster_bits)) - 1;
        let words = usize::from(self.entry == 16) + 1;
        for table in tables {
            if !is_inside(table, cluster) {
                return Ok(false);
            }
            let starts_inside = |entry: u64| {
                let mask = if entry & COMPRESSED == 0 {
                    OFFSET
                } else {
                    compressed_offset
                };
                entry & mask < length
            };
            if !read(file, table, cluster)?.step_by(words).all(starts_inside) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The numbers in a part of a file.
fn read(file: &mut File, at: u64, size: u64) -> std::io::Result<impl Iterator<Item = u64>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(size).read_to_end(&mut bytes)?;
    let mut at = 0;
    Ok(std::iter::from_fn(move || {
        let next = bytes.get(at..at + 8)?.try_into().ok()?;
        at += 8;
        Some(u64::from_be_bytes(next))
    }))
}
