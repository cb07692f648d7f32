// SPDX-License-Identifier: MIT
/* Runs before the page: keeps a copy of every AUDIO_CHUNK that arrives and of every sample that
 * goes to the loudspeaker, and counts what goes out. The page itself knows nothing of it. */
window.tap = { received: [], played: [], nSent: 0, requests: [] };

(() => {
    const AUDIO_CHUNK = 0x10;
    const HEAD_BYTES = 17;

    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        if (new Uint8Array(data.buffer ?? data)[0] === AUDIO_CHUNK)
            window.tap.nSent += 1;
        return send.call(this, data);
    };
    window.WebSocket = class extends WebSocket {
        constructor(...args) {
            super(...args);
            this.addEventListener('message', ({ data }) => {
                if (data instanceof ArrayBuffer && new Uint8Array(data)[0] === AUDIO_CHUNK)
                    window.tap.received.push(new Float32Array(data.slice(HEAD_BYTES)));
            });
        }
    };

    const connect = AudioNode.prototype.connect;
    const recorders = new WeakMap();
    function recorder(context) {
        if (!recorders.has(context)) {
            const node = context.createScriptProcessor(8192, 1, 1);
            node.onaudioprocess = ({ inputBuffer }) =>
                window.tap.played.push(new Float32Array(inputBuffer.getChannelData(0)));
            connect.call(node, context.destination);
            recorders.set(context, node);
        }
        return recorders.get(context);
    }
    AudioNode.prototype.connect = function (to, ...rest) {
        if (to instanceof AudioDestinationNode)
            connect.call(this, recorder(this.context));
        return connect.call(this, to, ...rest);
    };
})();

function joined(chunks) {
    const all = new Float32Array(chunks.reduce((n, chunk) => n + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
        all.set(chunk, at);
        at += chunk.length;
    }
    return all;
}

function rms(samples) {
    return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / Math.max(1, samples.length));
}

/* Likeness, 1 when equal, of a frame and what was played from `at` on; 0 when loudness differs. */
function likeness(frame, frameRms, played, at) {
    let dot = 0;
    let power = 0;
    for (let i = 0; i < frame.length; i++) {
        dot += frame[i] * played[at + i];
        power += played[at + i] ** 2;
    }
    const gain = Math.sqrt(power / frame.length) / frameRms;
    return gain < 0.9 || gain > 1.1 ? 0 : dot / (frameRms * frame.length * frameRms * gain);
}

/* Where in played the frame is heard, between two places. */
function find(frame, played, from, to) {
    const frameRms = rms(frame);
    let best = { at: -1, likeness: 0 };
    for (let at = Math.max(0, from); at < Math.min(to, played.length - frame.length); at++) {
        const here = likeness(frame, frameRms, played, at);
        if (here > best.likeness)
            best = { at, likeness: here };
    }
    return best;
}

/* How many of the n loudest frames that the server sent were heard, in order, as they were sent. */
window.tapCompare = (n) => {
    const { received } = window.tap;
    const played = joined(window.tap.played);
    const loudest = received.map((frame, i) => ({ i, frame, loud: rms(frame) }))
        .sort((a, b) => b.loud - a.loud).slice(0, n);
    let lag = null;
    let nHeard = 0;
    for (const { i, frame } of loudest) {
        const due = i * frame.length + (lag ?? 0);
        const found = lag === null ? find(frame, played, 0, played.length)
            : find(frame, played, due - 12000, due + 12000);
        if (found.likeness < 0.98)
            continue;
        nHeard += 1;
        lag ??= found.at - i * frame.length;
    }
    return { nHeard, loud: loudest[0]?.loud ?? 0, playedRms: rms(played), nReceived: received.length };
};
