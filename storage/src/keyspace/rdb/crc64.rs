//! The checksum at the end of a payload: CRC-64 with Jones' polynomial, lowest bit first.

/// The polynomial 0xad93d23594c935a9, its bits turned round.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// What eight zero bits behind a byte make of it; in row `n`, what `n` more zero bytes do.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut row = 1;
    while row < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[row - 1][byte];
            tables[row][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        row += 1;
    }
    tables
}

/// Returns the checksum of bytes.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let crc = words.iter().fold(0, |crc, word| {
        let mixed = (crc ^ u64::from_le_bytes(*word)).to_le_bytes();
        let rows = mixed.iter().zip(TABLES.iter().rev());
        rows.fold(0, |sum, (byte, row)| sum ^ row[usize::from(*byte)])
    });
    tail.iter().fold(crc, |crc, byte| crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_definition() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for length in 0..bytes.len() {
            let mut crc = 0;
            for byte in &bytes[..length] {
                crc ^= u64::from(*byte);
                for _ in 0..8 {
                    crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
                }
            }
            assert_eq!(crc64(&bytes[..length]), crc, "{length} bytes");
        }
    }
}
