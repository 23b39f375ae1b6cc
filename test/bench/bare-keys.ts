/** A process that makes RSA-2048 keys and nothing else, as many at a time as its thread pool has threads: `node bare-keys.js COUNT`. */
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { atOnce } from './measure.ts'

const generatePair = promisify(generateKeyPair)
const threads = 4

await atOnce(threads, Number(process.argv[2]), () => generatePair('rsa', { modulusLength: 2048 }))(0)
