import { type AlgorithmPolicy, chooseAlgorithms, parseCapabilities } from '@certfleet/agent-core/scep/messages'
import t from 'tap'

t.test('scep.capabilities: GetCACaps bodies', async (t) => {
  const rows: [string, string, string[]][] = [
    ['LF', 'AES\nSHA-256\n', ['AES', 'SHA-256']],
    ['CRLF', 'AES\r\nSHA-256\r\n', ['AES', 'SHA-256']],
    ['CR', 'AES\rSHA-256', ['AES', 'SHA-256']],
    ['any case', 'postpkioperation\nRENEWAL\nsha-512', ['POSTPKIOperation', 'Renewal', 'SHA-512']],
    ['spaces', '  AES \t\n des3', ['AES', 'DES3']],
    ['unknown words', 'AES\nUpdate\nMD5\nSHA-1024\nAESX', ['AES']],
    ['a word twice', 'AES\nAES', ['AES']],
    ['nothing', '', []],
    ['an HTML page', '<html><body>AES, SHA-256</body></html>', []],
    ['the standard set', 'SCEPStandard', ['SCEPStandard', 'AES', 'POSTPKIOperation', 'SHA-256']],
    ['names that objects have', '__proto__\nconstructor', []],
  ]
  for (const [name, body, expected] of rows) t.same([...parseCapabilities(body)].sort(), expected.sort(), name)
  t.equal(parseCapabilities(`${'x'.repeat(70_000)}\nAES`).size, 0, 'beyond 64 Ki characters nothing is read')
})

t.test('scep.floor, android.scep.ciphers, hash.sha2: what is chosen', async (t) => {
  const ndes = 'POSTPKIOperation\nRenewal\nSHA-512\nSHA-256\nSHA-1\nDES3'
  const rows: [string, string, AlgorithmPolicy, string][] = [
    ['nothing said: the floor', '', {}, 'sha256 aes-128-cbc'],
    ['nothing said, and a profile', '', { hash: 'sha512' }, 'sha512 aes-128-cbc'],
    ['nothing said, SHA-1 allowed: still the floor', '', { legacySha1: true }, 'sha256 aes-128-cbc'],
    ['RFC 8894', 'SCEPStandard', {}, 'sha256 aes-128-cbc post'],
    ['NDES has no AES', ndes, {}, 'sha512 des-ede3-cbc post renewal'],
    ['NDES, and a profile', ndes, { hash: 'sha256' }, 'sha256 des-ede3-cbc post renewal'],
    ['AES before 3DES', 'DES3\nAES\nSHA-256', {}, 'sha256 aes-128-cbc'],
    ['no cipher said', 'SHA-256', {}, 'sha256 aes-128-cbc'],
    ['only DES3', 'DES3', {}, 'sha256 des-ede3-cbc'],
    ['only stronger than the profile', 'SHA-512', { hash: 'sha256' }, 'sha512 aes-128-cbc'],
    ['SHA-384, which has no word', 'SHA-512\nSHA-256', { hash: 'sha384' }, 'sha384 aes-128-cbc'],
    ['weaker than the profile', 'SHA-256', { hash: 'sha512' }, 'ERR_ALGORITHM_REFUSED'],
    ['only SHA-1', 'SHA-1\nAES', {}, 'ERR_ALGORITHM_REFUSED'],
    ['only SHA-1, by the switch', 'SHA-1\nAES', { legacySha1: true }, 'sha1 aes-128-cbc'],
    ['only SHA-1, by the switch, but the profile asks for more', 'SHA-1', { hash: 'sha256', legacySha1: true }, 'ERR_ALGORITHM_REFUSED'],
    ['the strongest, whatever the profile', 'SHA-512\nSHA-256\nAES', { hash: 'sha256', strongest: true }, 'sha512 aes-128-cbc'],
    ['the strongest, and no profile', 'SHA-256', { strongest: true }, 'sha256 aes-128-cbc'],
    ['the strongest is no excuse', 'SHA-256', { hash: 'sha512', strongest: true }, 'ERR_ALGORITHM_REFUSED'],
    ['nothing said, the strongest', '', { hash: 'sha512', strongest: true }, 'sha512 aes-128-cbc'],
    ['no digest, where one is needed', 'AES\nDES3', { needsDigest: true }, 'ERR_ALGORITHM_REFUSED'],
    ['one that is needed', 'SHA-256', { needsDigest: true }, 'sha256 aes-128-cbc'],
    ['one that is needed and weak', 'SHA-1', { needsDigest: true, legacySha1: true }, 'sha1 aes-128-cbc'],
    ['the switch lowers nothing that need not be', 'SHA-1\nSHA-256', { legacySha1: true }, 'sha256 aes-128-cbc'],
  ]
  for (const [name, body, policy, expected] of rows) t.equal(chosen(body, policy), expected, name)
  t.throws(() => chooseAlgorithms(parseCapabilities('SHA-1'), {}), { message: /legacy-sha1/ })
})

function chosen(body: string, policy: AlgorithmPolicy): string {
  try {
    const { hash, cipher, post, renewal } = chooseAlgorithms(parseCapabilities(body), policy)
    return [hash, cipher, ...(post ? ['post'] : []), ...(renewal ? ['renewal'] : [])].join(' ')
  } catch (error) {
    return (error as { code: string }).code
  }
}
