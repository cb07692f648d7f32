// SPDX-License-Identifier: MIT
// gnuspeech.mjs FD PACKAGE: speaks lines of standard input, {text, set: {file: {name: value}}}, with gnuspeech.
// Each is answered on the file descriptor FD by four bytes, the length, and a WAV.
import * as readline from 'node:readline'
import { writeSync } from 'node:fs'

const [descriptor, path] = process.argv.slice(2)
const { default: initialise } = await import(path)
const gnuspeech = await initialise(), folder = '/data/en', originals = {}

function configure(file, values) {
    originals[file] ??= gnuspeech.FS.readFile(`${folder}/${file}`, { encoding: 'utf8' })
    let text = originals[file]
    for (const [name, value] of Object.entries(values)) {
        const line = new RegExp(`^${name} *=.*$`, 'm')
        if (!line.test(text)) throw new Error(`${file} has no ${name}`)
        text = text.replace(line, `${name} = ${value}`)
    }
    gnuspeech.FS.writeFile(`${folder}/${file}`, text)
}

function cString(text) {
    const bytes = new TextEncoder().encode(text + '\0'), at = gnuspeech._malloc(bytes.length)
    gnuspeech.HEAPU8.set(bytes, at)
    return at
}

function answer(wav) {
    const all = Buffer.alloc(4 + wav.length)
    all.writeUInt32LE(wav.length)
    wav.copy(all, 4)
    for (let at = 0; at < all.length;) at += writeSync(Number(descriptor), all, at)
}

for await (const line of readline.createInterface({ input: process.stdin })) {
    const { text, set } = JSON.parse(line)
    for (const file of Object.keys(originals)) configure(file, {})
    for (const [file, values] of Object.entries(set)) configure(file, values)
    const strings = [text, './out.wav', folder, './out-params.txt'].map(cString)
    gnuspeech._GnuSpeech_synthesizeToFile(...strings, false)
    strings.forEach(s => gnuspeech._free(s))
    answer(Buffer.from(gnuspeech.FS.readFile('./out.wav')))
}
