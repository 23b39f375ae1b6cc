import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { endsAs, type Finished, run, serve } from '../tooling/process.ts'
import { certfleet, missing, noNamespaces } from './peers.ts'

const challenge = 'open-sesame-17'
const legacy = ['--legacy-des', '--legacy-sha1']

t.test("certfleet enroll against Debian's scepserver", { skip: missing(['scepserver'], 'scep') || noNamespaces() }, async (t) => {
  const depot = join(t.testdir(), 'depot')
  execFileSync('scepserver', ['ca', '-init', '-keySize', '2048', '-depot', depot])
  const enroll = await scepserver(t, depot)

  t.test('obtains a certificate', async (t) => {
    const out = join(t.testdir(), 'out')
    const sans = ['--san', 'dns:laptop-1.example.org', '--san', 'email:ada@example.org']
    endsAs(t, await enroll([...asked(out, challenge), ...sans, ...legacy]), { exitCode: 0, output: 'CN=laptop-1' })

    const [certificate, key] = [join(out, 'cert.pem'), join(out, 'key.pem')]
    t.match(openssl('verify', '-CAfile', join(depot, 'ca.pem'), certificate), ': OK')
    t.equal(openssl('x509', '-in', certificate, '-noout', '-pubkey'), openssl('pkey', '-in', key, '-pubout'), 'is for the key')
    t.match(openssl('x509', '-in', certificate, '-noout', '-subject'), /O = lab.*CN = laptop-1|CN = laptop-1.*O = lab/)
    t.match(openssl('x509', '-in', certificate, '-noout', '-ext', 'subjectAltName'), 'DNS:laptop-1.example.org, email:ada@example.org')
    t.equal(
      openssl('x509', '-in', join(out, 'chain.pem'), '-noout', '-fingerprint'),
      openssl('x509', '-in', join(depot, 'ca.pem'), '-noout', '-fingerprint'),
    )
    t.equal(statSync(key).mode & 0o777, 0o600)
  })

  for (const [name, offered, switches, said] of [
    ['tells what the server answered to a wrong challenge', 'not-that-one', legacy, /badRequest/],
    ['refuses an answer in single DES without --legacy-des', challenge, ['--legacy-sha1'], /ERR_ALGORITHM_REFUSED/],
    ['refuses an answer signed with SHA-1 without --legacy-sha1', challenge, ['--legacy-des'], /ERR_ALGORITHM_REFUSED/],
  ] as const) {
    t.test(name, async (t) => {
      const out = join(t.testdir(), 'out')
      const ended = await enroll([...asked(out, offered), ...switches])
      endsAs(t, ended, { exitCode: 1, output: said })
      t.notMatch(ended.output, offered, 'the challenge is not repeated')
      t.notOk(existsSync(join(out, 'cert.pem')))
    })
  }
})

function asked(out: string, offered: string): string[] {
  return ['--challenge', offered, '--subject', 'CN=laptop-1,O=lab', '--key-bits', '2048', '--platform', 'macos', '--out', out]
}

/** scepserver 2.1.0 listens on every address: it gets a network of its own, and the device comes in to it. */
async function scepserver(t: Test, depot: string): Promise<(args: readonly string[]) => Promise<Finished>> {
  const up = 'ip link set lo up && exec scepserver -depot "$1" -port 2016 -challenge="$2" -allowrenew 0'
  const { server } = await serve(t, 'unshare', ['-rn', 'sh', '-c', up, 'sh', depot, challenge], /msg=listening/)
  const inside = ['--target', String(server.pid), '--user', '--net', '--preserve-credentials', process.execPath, certfleet]
  return (args) => run('nsenter', [...inside, 'enroll', '--url', 'http://127.0.0.1:2016/scep', ...args])
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8' })
}
