// SPDX-License-Identifier: MIT
/* The page's modules alone, in the browser that runs them. Resolves to a list of what is wrong. */
(async () => {
    const failures = [];
    const check = (isTrue, what) => isTrue || failures.push(what);
    const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');

    const packet = await import('./packet.js');
    const { JitterBuffer } = await import('./jitter.js');
    const { Resampler } = await import('./resampler.js');
    const { Backoff } = await import('./backoff.js');
    const { Transcript } = await import('./transcript.js');
    const { keyOf } = await import('./conversation.js');
    const timestampMs = 1700000000000;

    const golden = [
        [{ type: packet.HEARTBEAT, sequence: 7 }, '0103070000000000' + '8056febc7842000000'],
        [{ type: packet.ACK, sequence: 9, payload: packet.ackWrite(2) },
         '0201090000000000' + '8056febc784204000002000000'],
        [{ type: packet.TEXT_FINAL, sequence: 2, wantsAck: true,
           payload: new TextEncoder().encode('hello') },
         '2101020000000000' + '8056febc784205000168656c6c6f'],
        [{ type: packet.AUDIO_CHUNK, sequence: 3,
           payload: packet.samplesWrite(Float32Array.of(0, 1, -1, 0.5)) },
         '1000030000000000' + '8056febc7842100000000000000000803f000080bf0000003f'],
    ];
    for (const [fields, bytes] of golden) {
        const written = packet.packetWrite({ ...fields, timestampMs });
        check(hex(written) === bytes, `packet ${fields.type}: ${hex(written)}`);
        const again = packet.packetRead(written.buffer);
        check(again.sequence === fields.sequence && again.timestampMs === timestampMs
              && again.wantsAck === Boolean(fields.wantsAck), `packet ${fields.type} read back`);
    }
    check(packet.packetRead(new ArrayBuffer(16)) === null, 'a short message is a packet');
    const lying = packet.packetWrite({ type: 1, sequence: 0, payload: new Uint8Array(3) });
    lying[14] = 9;
    check(packet.packetRead(lying.buffer) === null, 'a wrong length is a packet');
    check(packet.samplesRead(new Uint8Array(5)) === null, 'five bytes are samples');
    check(Object.keys(packet.metadataRead(new TextEncoder().encode('{'))).length === 0, 'bad JSON');

    for (const fromHz of [48000, 44100, 16000, 24000]) {
        const resampler = new Resampler(fromHz, 24000);
        const out = [];
        for (let at = 0; at < fromHz; at += 128)
            out.push(...resampler.step(Float32Array.from({ length: 128 }, (_, i) =>
                Math.sin(2 * Math.PI * 1000 * (at + i) / fromHz))));
        check(Math.abs(out.length - 24000) < 130, `${fromHz} Hz gives ${out.length} samples`);
        /* A pure tone obeys y[n+1] = 2 cos(w) y[n] - y[n-1] whatever its phase. */
        const turn = 2 * Math.cos(2 * Math.PI * 1000 / 24000);
        let worst = 0;
        let peak = 0;
        for (let i = 100; i < 20000; i++) {
            worst = Math.max(worst, Math.abs(out[i + 1] - turn * out[i] + out[i - 1]));
            peak = Math.max(peak, Math.abs(out[i]));
        }
        check(worst < 1e-3, `${fromHz} Hz: a tone is bent by ${worst}`);
        check(Math.abs(peak - 1) < 0.01, `${fromHz} Hz: a tone of 1 becomes ${peak}`);
    }

    const frame = () => new Float32Array(1920).fill(0.5);
    const block = new Float32Array(128);
    const play = (jitter, ms) => {
        let loudest = 0;
        let edge = 0;
        let before = block[127];
        for (let n = 0; n < ms * 24; n += 128) {
            jitter.pull(block);
            for (const sample of block) {
                edge = Math.max(edge, Math.abs(sample - before));
                before = sample;
            }
            loudest = Math.max(loudest, ...block);
        }
        return { loudest, edge };
    };

    const jitter = new JitterBuffer(24000, 1920);
    jitter.push(new Float32Array(1900).fill(0.5));
    check(play(jitter, 100).loudest === 0, 'played before a frame was there');
    jitter.push(new Float32Array(20).fill(0.5));
    const first = play(jitter, 150);
    check(first.loudest === 0.5, 'did not play');
    check(first.edge < 0.01, `an edge of ${first.edge} at start or end`);
    check(jitter.report().nMissed === 1, 'an underrun was not counted');
    check(Math.round(jitter.report().targetMs) === 115, `target ${jitter.report().targetMs}`);

    for (let i = 0; i < 30; i++) {
        jitter.push(frame());
        play(jitter, 200);
    }
    check(Math.round(jitter.report().targetMs) === 160, `grew to ${jitter.report().targetMs}`);
    jitter.push(frame());
    play(jitter, 85);
    const nMissed = jitter.report().nMissed;
    for (let i = 0; i < 1500; i++) {
        jitter.push(frame());
        play(jitter, 80);
    }
    check(jitter.report().targetMs < 125, `a calm while left it at ${jitter.report().targetMs}`);
    check(jitter.report().nMissed === nMissed, 'shrinking made gaps');

    const late = new JitterBuffer(24000, 1920);
    for (let i = 0; i < 20; i++)
        late.push(frame());
    check(late.report().cutMs > 1300, `of 1.6 s at once ${late.report().cutMs} ms were cut`);

    /* Frames in a burst: the word stays whole, the pause behind it makes up for them. */
    const burst = new JitterBuffer(24000, 1920);
    for (let i = 0; i < 4; i++)
        burst.push(frame());
    play(burst, 230);
    check(burst.report().cutMs === 0, `${burst.report().cutMs} ms of a word were cut`);
    for (let i = 0; i < 3; i++)
        burst.push(new Float32Array(1920));
    play(burst, 130);
    check(burst.report().cutMs > 100, `a pause gave back ${burst.report().cutMs} ms`);

    const backoff = new Backoff();
    const waits = Array.from({ length: 7 }, () => backoff.next());
    [500, 1000, 2000, 4000, 8000, 8000, 8000].forEach((least, i) =>
        check(waits[i] >= least && waits[i] <= least * 1.2, `wait ${i} is ${waits[i]} ms`));

    for (const [said, key] of [
        ['#key=a+b/c==', 'a+b/c=='], ['#key=a&b#c', 'a&b#c'], ['#key=a%41%2B%b', 'a%41%2B%b'],
        ['#key=é"<>`%FF', 'é"<>`%FF'], ['?key=a%2Bb', 'a+b'], ['?key=query#key=', 'query'],
        ['#other=a', null],
    ])
        check(keyOf(new URL(said, location.origin)) === key,
              `${said} means the key ${keyOf(new URL(said, location.origin))}`);

    /* Words that stall in a sentence, and a pause between two sentences. */
    const log = document.createElement('div');
    const transcript = new Transcript(log);
    const pause = () => new Promise((resolve) => setTimeout(resolve, 1700));
    const turns = () => [...log.children].map((turn) => turn.textContent.trim()).join('|');
    transcript.addPiece('Three plus');
    await pause();
    transcript.addPiece(' four.');
    transcript.endSentence('Three plus four.');
    check(turns() === 'Three plus four.', `after a stall the transcript says ${turns()}`);
    await pause();
    transcript.addPiece('Is');
    await pause();
    transcript.endSentence('Is seven.');
    check(turns() === 'Three plus four.|Is seven.', `after a pause the transcript says ${turns()}`);

    /* A number with a point, and words without an end. */
    transcript.clear();
    for (const piece of [' It is', ' 3', '.', '5', '.'])
        transcript.addPiece(piece);
    transcript.endSentence(' It is 3.5.');
    transcript.addPiece(' Well');
    check(turns() === 'It is 3.5. Well', `a number in the transcript is ${turns()}`);
    transcript.clear();
    for (let i = 0; i < 1000; i++)
        transcript.addPiece(' again');
    check(log.children.length > 2 && turns().replaceAll('|', ' ').length === 5999,
          `endless words are ${log.children.length} turns`);

    /* Whoever reads what was said before is left there. */
    log.style.cssText = 'height: 50px; overflow-y: auto';
    document.body.append(log);
    transcript.addNote('the end');
    log.scrollTop = log.scrollHeight;
    transcript.addPiece(' more');
    check(log.scrollHeight - log.scrollTop - log.clientHeight < 2, 'the log does not follow');
    log.scrollTop = 10;
    transcript.addPiece(' and more');
    check(log.scrollTop === 10, `the log moved to ${log.scrollTop}`);
    log.remove();
    return failures;
})()
