// SPDX-License-Identifier: MIT
/**
 * packet: the messages of /packet as functions of bytes.
 *
 * A packet is one binary WebSocket message, little-endian and unaligned: type u8, priority u8,
 * sequence u32, milliseconds since 1970 f64, payload bytes modulo 65536 u16, acknowledgement wanted
 * u8; then the payload up to the end of the message. src/wire/packet.h is the other end.
 */

export const HEARTBEAT = 0x01;
export const ACK = 0x02;
export const AUDIO_CHUNK = 0x10;
export const TEXT_PARTIAL = 0x20;
export const TEXT_FINAL = 0x21;
export const METADATA = 0x30;

const HEAD_BYTES = 17;
const PRIORITY_LOW = 3;
const PRIORITIES = { [ACK]: 1, [AUDIO_CHUNK]: 0, [TEXT_PARTIAL]: 2, [TEXT_FINAL]: 1 };

/**
 * One packet as the bytes that go on the wire.
 * @param {{type: number, sequence: number, payload?: Uint8Array, wantsAck?: boolean,
 *          timestampMs?: number}} packet
 * @returns {Uint8Array}
 */
export function packetWrite({ type, sequence, payload = new Uint8Array(0), wantsAck = false,
                              timestampMs = Date.now() }) {
    const bytes = new Uint8Array(HEAD_BYTES + payload.length);
    const head = new DataView(bytes.buffer);
    head.setUint8(0, type);
    head.setUint8(1, PRIORITIES[type] ?? PRIORITY_LOW);
    head.setUint32(2, sequence, true);
    head.setFloat64(6, timestampMs, true);
    head.setUint16(14, payload.length & 0xffff, true);
    head.setUint8(16, wantsAck ? 1 : 0);
    bytes.set(payload, HEAD_BYTES);
    return bytes;
}

/**
 * Reads one message; null when it is not a packet.
 * @param {ArrayBuffer} message
 * @returns {?{type: number, sequence: number, timestampMs: number, wantsAck: boolean,
 *             payload: Uint8Array}}
 */
export function packetRead(message) {
    if (message.byteLength < HEAD_BYTES)
        return null;
    const head = new DataView(message);
    const payload = new Uint8Array(message, HEAD_BYTES);
    if (head.getUint16(14, true) !== (payload.length & 0xffff))
        return null;
    return {
        type: head.getUint8(0),
        sequence: head.getUint32(2, true),
        timestampMs: head.getFloat64(6, true),
        wantsAck: head.getUint8(16) === 1,
        payload,
    };
}

/** Samples as the payload of an AUDIO_CHUNK. @param {Float32Array} samples */
export function samplesWrite(samples) {
    const payload = new Uint8Array(samples.length * 4);
    const view = new DataView(payload.buffer);
    samples.forEach((sample, i) => view.setFloat32(i * 4, sample, true));
    return payload;
}

/** The samples of an AUDIO_CHUNK; null: not whole floats. @param {Uint8Array} payload */
export function samplesRead(payload) {
    if (payload.length % 4)
        return null;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    return Float32Array.from({ length: payload.length / 4 },
                             (_, i) => view.getFloat32(i * 4, true));
}

/** The payload of an ACK. @param {number} sequence */
export function ackWrite(sequence) {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, sequence, true);
    return payload;
}

/** The sequence that an ACK answers, or null. @param {Uint8Array} payload */
export function ackRead(payload) {
    return payload.length === 4
        ? new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0, true) : null;
}

/** A METADATA payload. @param {object} object */
export function metadataWrite(object) {
    return new TextEncoder().encode(JSON.stringify(object));
}

/** The object of a METADATA payload; {}: it is not a JSON object. @param {Uint8Array} payload */
export function metadataRead(payload) {
    try {
        return Object(JSON.parse(new TextDecoder().decode(payload)));
    } catch {
        return {};
    }
}
