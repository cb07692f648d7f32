// SPDX-License-Identifier: MIT
/* Runs before the page: keeps a copy of every AUDIO_CHUNK that arrives and of every sample that
 * goes to the loudspeaker. The page itself knows nothing of it. */
window.tap = { received: [], played: [] };

(() => {
    const AUDIO_CHUNK = 0x10;
    const HEAD_BYTES = 17;

    window.WebSocket = class extends WebSocket {
        constructor(...args) {
            super(...args);
            this.addEventListener('message', ({ data }) => {
                if (data instanceof ArrayBuffer && new Uint8Array(data)[0] === AUDIO_CHUNK)
                    window.tap.received.push(new Float32Array(data.slice(HEAD_BYTES)));
            });
        }
    };

    /* A worklet loses nothing when the page's thread is busy. */
    const module = URL.createObjectURL(new Blob([`
        registerProcessor('tap', class extends AudioWorkletProcessor {
            process([[samples]]) {
                if (samples)
                    this.port.postMessage(samples.slice());
                return true;
            }
        });`], { type: 'text/javascript' }));
    const connect = AudioNode.prototype.connect;
    const recorders = new WeakMap();
    async function recorder(context) {
        await context.audioWorklet.addModule(module);
        const node = new AudioWorkletNode(context, 'tap', { numberOfOutputs: 0 });
        node.port.onmessage = ({ data }) => window.tap.played.push(data);
        return node;
    }
    AudioNode.prototype.connect = function (to, ...rest) {
        if (to instanceof AudioDestinationNode) {
            if (!recorders.has(this.context))
                recorders.set(this.context, recorder(this.context));
            recorders.get(this.context).then((node) => connect.call(this, node));
        }
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

/* Whether a frame was played from `at` on, to the last bit that a likeness of floats can show. */
function isAt(frame, frameRms, played, at) {
    let dot = 0;
    let power = 0;
    for (let i = 0; i < frame.length; i++) {
        dot += frame[i] * played[at + i];
        power += played[at + i] ** 2;
    }
    const gain = Math.sqrt(power / frame.length) / frameRms;
    return Math.abs(gain - 1) < 0.005 && dot / (frameRms ** 2 * gain * frame.length) > 0.995;
}

function find(frame, played, from, to) {
    const frameRms = rms(frame);
    for (let at = Math.max(0, from); at < Math.min(to, played.length - frame.length); at++)
        if (isAt(frame, frameRms, played, at))
            return at;
    return -1;
}

/* Of the frames with a voice in them that the server sent, how many were heard, in their order and
 * as they were sent. Gaps push later frames back and cuts pull them forward, so each is looked for
 * around where the one before it was found. */
window.tapCompare = () => {
    const { received } = window.tap;
    const played = joined(window.tap.played);
    const loud = Math.max(0, ...received.map(rms));
    const voiced = received.map((frame, i) => ({ i, frame }))
        .filter(({ frame }) => rms(frame) > loud / 2);
    let last = null;
    let nHeard = 0;
    for (const { i, frame } of voiced) {
        const due = last ? last.at + (i - last.i) * frame.length : 0;
        const at = last ? find(frame, played, due - 4000, due + 8000)
            : find(frame, played, 0, played.length);
        if (at < 0)
            continue;
        nHeard += 1;
        last = { i, at };
    }
    return { nHeard, nVoiced: voiced.length, loud, playedRms: rms(played) };
};
