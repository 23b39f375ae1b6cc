import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Workshop } from './fleet-run.ts'
import { outputOf } from './processes.ts'

/** The scepclient and scepserver of Debian's package "scep" (micromdm/scep), four clients at a time, as its users would script them. */
export interface PeerRound {
  readonly enrollmentsPerSecond: number
  /** Of clients and server together. */
  readonly cpuMsPerEnrolment: number
  readonly enrolled: number
  /** Certificates whose serial number another one of the round has too. */
  readonly doubled: number
}

export const parallel = 4

/** The server listens on every address: it has a network of its own, without a way out. */
const script = `
ip link set lo up || exit 90
scepserver -depot depot -port 2016 -challenge=bench -allowrenew 0 >server.log 2>&1 &
for i in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/2016) 2>/dev/null && break; sleep 0.1; done
begun=$(date +%s%N)
seq "$1" | xargs -P ${parallel} -I{} scepclient -private-key clients/{}/client.key -certificate clients/{}/client.pem \\
  -server-url=http://127.0.0.1:2016/scep -challenge=bench -cn device-{} >clients.log 2>&1
echo $(( $(date +%s%N) - begun ))
kill %1
wait
times
`

/** Why it cannot be run here; undefined where it can. */
export async function peerIsAbsent(): Promise<string | undefined> {
  const found = await outputOf('sh', ['-c', 'command -v scepclient && command -v scepserver']).catch(() => undefined)
  if (found === undefined) return 'the Debian package "scep" is not installed'
  const network = await outputOf('unshare', [...namespaces, 'ip', 'link', 'set', 'lo', 'up']).catch(() => undefined)
  return network === undefined ? '"unshare" may not give its server a network of its own here' : undefined
}

const namespaces = ['--map-root-user', '--net', '--pid', '--fork', '--kill-child']

/** A new CA (RSA-2048), keys made before, then so many enrolments: each a process that makes a CSR and speaks the whole of SCEP. */
export async function runPeer({ folder }: Workshop, enrolments: number): Promise<PeerRound> {
  const at = await mkdtemp(join(folder, 'scep-'))
  await outputOf('scepserver', ['ca', '-init', '-depot', join(at, 'depot'), '-keySize', '2048'], { cwd: at })
  const keys = Array.from({ length: parallel }, pemKey)
  for (let i = 1; i <= enrolments; i++) {
    await mkdir(join(at, `clients/${i}`), { recursive: true })
    await writeFile(join(at, `clients/${i}/client.key`), keys[i % parallel] as string, { mode: 0o600 })
  }
  const told = await outputOf('unshare', [...namespaces, 'bash', '-c', script, 'bash', String(enrolments)], { cwd: at })
  const serials = await serialsIn(at, enrolments)
  if (serials.length === 0) throw new Error(`scepclient enrolled nothing: ${(await readFile(join(at, 'clients.log'), 'utf8')).slice(-300)}`)
  const { wallMs, cpuMs } = timesIn(told)
  const isDoubled = (serial: string) => serials.indexOf(serial) !== serials.lastIndexOf(serial)
  return {
    enrollmentsPerSecond: (serials.length / wallMs) * 1000,
    cpuMsPerEnrolment: cpuMs / serials.length,
    enrolled: serials.length,
    doubled: serials.filter(isDoubled).length,
  }
}

/** Three lines: nanoseconds of wall time, then as bash has them user and system time of itself and of all that it started. */
function timesIn(told: string): { readonly wallMs: number; readonly cpuMs: number } {
  const [wall, , started] = told.trim().split('\n') as [string, string, string]
  const times = [...started.matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => Number(minutes) * 60_000 + Number(seconds) * 1000)
  return { wallMs: Number(wall) / 1e6, cpuMs: times.reduce((sum, ms) => sum + ms, 0) }
}

const pemKey = (): string =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()

async function serialsIn(at: string, enrolments: number): Promise<readonly string[]> {
  const files = Array.from({ length: enrolments }, (_, i) => readFile(join(at, `clients/${i + 1}/client.pem`)).catch(() => undefined))
  return (await Promise.all(files)).flatMap((pem) => (pem ? [new X509Certificate(pem).serialNumber] : []))
}
