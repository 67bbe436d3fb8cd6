//! Small pictures, written by hand so that no image library is needed.
//!
//! Owns: just enough of PNG (W3C, RFC 1950, RFC 1951) and JPEG (T.81) to be read by any viewer.

use super::Dice;

/// A PNG of 16 by 16 pixels with a pattern that depends on the seed.
#[must_use]
pub fn png(seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let colour = |dice: &mut Dice| [dice.roll() as u8, dice.roll() as u8, dice.roll() as u8];
    let (front, back) = (colour(&mut dice), colour(&mut dice));
    let mut rows = Vec::new();
    for y in 0..16_u64 {
        rows.push(0);
        for x in 0..16_u64 {
            let mirrored = x.min(15 - x);
            let lit = (seed.rotate_left((mirrored * 8 + y) as u32 % 64)) & 1 == 1;
            rows.extend_from_slice(if lit { &front } else { &back });
        }
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, *b"IHDR", &[0, 0, 0, 16, 0, 0, 0, 16, 8, 2, 0, 0, 0]);
    chunk(&mut file, *b"IDAT", &stored(&rows));
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(&kind);
    file.extend_from_slice(data);
    let sum = crc(&file[start..]);
    file.extend_from_slice(&sum.to_be_bytes());
}

/// A zlib stream of one stored block; the data must be shorter than 64 KiB.
fn stored(data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    let mut out = vec![0x78, 0x01, 0x01];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(data);
    let (low, high) = data.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    out.extend_from_slice(&(high << 16 | low).to_be_bytes());
    out
}

fn crc(data: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    };
    !data.iter().fold(u32::MAX, step)
}

/// A grey JPEG of 16 by 16 pixels: four blocks of one shade each.
#[must_use]
pub fn jpeg(seed: u64) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xe0, 0, 16];
    file.extend_from_slice(b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    // One quantisation table, all eights: a step of the first coefficient is one shade of grey.
    file.extend_from_slice(&[0xff, 0xdb, 0, 67, 0]);
    file.extend_from_slice(&[8; 64]);
    file.extend_from_slice(&[0xff, 0xc0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0]);
    // Codes of four bits for the sizes 0 to 8 of the first coefficient; one bit for "no others".
    file.extend_from_slice(&[0xff, 0xc4, 0, 28, 0x00, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend_from_slice(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    file.extend_from_slice(&[0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend_from_slice(&[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    let mut bits: Vec<bool> = Vec::new();
    let mut push = |value: u32, count: u32| bits.extend((0..count).rev().map(|at| value >> at & 1 == 1));
    let mut dice = Dice::new(seed);
    let mut before = 0_i32;
    for _ in 0..4 {
        let shade = dice.below(201) as i32 - 100;
        let step = shade - before;
        let size = 32 - step.unsigned_abs().leading_zeros();
        push(size, 4);
        // A negative step is written as its distance from the smallest of its size (T.81 F.1.2.1).
        let magnitude = if step < 0 { (1 << size) - 1 - step.unsigned_abs() } else { step.unsigned_abs() };
        push(magnitude, size);
        push(0, 1);
        before = shade;
    }
    while !bits.len().is_multiple_of(8) {
        bits.push(true);
    }
    for byte in bits.chunks(8) {
        let byte = byte.iter().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit));
        file.push(byte);
        if byte == 0xff {
            file.push(0);
        }
    }
    file.extend_from_slice(&[0xff, 0xd9]);
    file
}
