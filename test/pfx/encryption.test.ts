import { AgentError } from '@certfleet/agent-core'
import { octetString, readDer, readOctetString, sequence } from '@certfleet/agent-core/der'
import t from 'tap'
import { encryptWithPassword, readPasswordCipher, withDecrypted } from '#agent-core/pfx/encryption.ts'
import { iterationBudget } from '#agent-core/pfx/limits.ts'
import { type PasswordOctets, spellings, wipePasswords } from '#agent-core/pfx/password.ts'
import { password } from './files.ts'

const rules = { legacy: true, budget: iterationBudget() }
const plain = octetString(Buffer.from('a private key'))

function secret(): PasswordOctets {
  return spellings(password)[0] as PasswordOctets
}

/** The cipher of an AlgorithmIdentifier that `encryptWithPassword` wrote. */
async function sealed(bytes: Uint8Array, algorithms: 'modern' | 'legacy') {
  const { algorithm, encrypted } = await encryptWithPassword(bytes, secret(), algorithms, 1)
  return { cipher: readPasswordCipher(readDer(algorithm), 'test', rules), encrypted }
}

for (const algorithms of ['modern', 'legacy'] as const) {
  t.test(`${algorithms}: what was decrypted is wiped, however its use ends`, async (t) => {
    const { cipher, encrypted } = await sealed(plain, algorithms)
    const seen: Uint8Array[] = []
    const text = await withDecrypted(cipher, encrypted, secret(), (bytes) => {
      seen.push(bytes)
      return Buffer.from(readOctetString(readDer(bytes))).toString()
    })
    t.equal(text, 'a private key')
    const failing = (bytes: Uint8Array) => {
      seen.push(bytes)
      throw new AgentError('ERR_UNSUPPORTED', 'not today')
    }
    await t.rejects(withDecrypted(cipher, encrypted, secret(), failing), { code: 'ERR_UNSUPPORTED' })
    t.strictSame(
      seen.map((bytes) => bytes.every((octet) => octet === 0)),
      [true, true],
    )
  })

  t.test(`${algorithms}: what does not come out as one value is one error`, async (t) => {
    const rows: readonly (readonly [string, Uint8Array])[] = [
      ['two values', Buffer.concat([plain, plain])],
      ['half a value', plain.subarray(0, -1)],
      ['nothing', new Uint8Array()],
    ]
    const wrong = { code: 'ERR_PFX_PASSWORD', message: 'the password is wrong, or the file was changed' }
    for (const [name, bytes] of rows) {
      const { cipher, encrypted } = await sealed(bytes, algorithms)
      await t.rejects(withDecrypted(cipher, encrypted, secret(), Buffer.from), wrong, name)
    }
    const { cipher, encrypted } = await sealed(plain, algorithms)
    for (const length of [0, 1, encrypted.length - 1])
      await t.rejects(withDecrypted(cipher, encrypted.subarray(0, length), secret(), Buffer.from), wrong, `${length} octets`)
    // Some of these unpad to one value by chance: what keeps them out of a PFX is its MAC.
    let refused = 0
    for (let change = 1; change < 256; change++) {
      const changed = Uint8Array.from(encrypted)
      changed[changed.length - 1] = (changed[changed.length - 1] as number) ^ change
      const error = await withDecrypted(cipher, changed, secret(), Buffer.from).catch((found: unknown) => found)
      if (!(error instanceof AgentError)) continue
      if (error.code !== wrong.code || error.message !== wrong.message) t.fail(`last octet ^ ${change}: ${error}`)
      refused++
    }
    t.ok(refused > 200, `${refused} of 255 changes refused`)
  })
}

t.test('BER in a ciphertext is made DER, and both are wiped', async (t) => {
  const { cipher, encrypted } = await sealed(Buffer.concat([Buffer.from('3080', 'hex'), plain, Buffer.alloc(2)]), 'modern')
  let seen = new Uint8Array()
  await withDecrypted(cipher, encrypted, secret(), (bytes) => {
    t.strictSame(Buffer.from(bytes), Buffer.from(sequence(plain)))
    seen = bytes as Uint8Array<ArrayBuffer>
  })
  t.ok(seen.every((octet) => octet === 0))
})

t.test('passwords are wiped', async (t) => {
  const octets = spellings(password)
  wipePasswords(octets)
  for (const { utf8, bmp } of octets) t.ok([...utf8, ...bmp].every((octet) => octet === 0))
})
