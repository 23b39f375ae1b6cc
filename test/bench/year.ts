import { constants, createPublicKey, type KeyObject, privateDecrypt, publicEncrypt, randomBytes, sign, verify } from 'node:crypto'
import { Command } from 'commander'
import { primePairs } from '../keys-emulation/prime-pairs.ts'
import { simulated } from '../simulate/world.ts'

/**
 * What the RSA of one enrolment costs on both sides, each key used for the first time as in the simulation. The device signs CSR, self-signed
 * certificate and message, and unwraps the reply's key; the RA unwraps the request's, the CA signs certificate and reply; and what was signed is
 * verified, by the device three times (reply, certificate, its CA), by the service three times (message, its certificate, CSR).
 */
async function bareCpuMs(enrolments: number): Promise<number> {
  const pair = primePairs('year')
  const service = await pair('rsa', { modulusLength: 2048 })
  const data = randomBytes(1000)
  const wrap = (key: KeyObject) => publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, data.subarray(0, 16))
  const unwrap = (key: KeyObject, wrapped: Buffer) => privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, wrapped)
  const before = process.cpuUsage()
  for (let i = 0; i < enrolments; i++) {
    const device = await pair('rsa', { modulusLength: 2048 })
    const publicKey = createPublicKey(device.privateKey)
    const signed = [0, 1, 2].map(() => sign('sha256', data, device.privateKey))
    unwrap(service.privateKey, wrap(service.publicKey))
    const answered = [0, 1].map(() => sign('sha256', data, service.privateKey))
    unwrap(device.privateKey, wrap(publicKey))
    for (const signature of signed) verify('sha256', data, publicKey, signature)
    for (const signature of [...answered, answered[0] as Buffer]) verify('sha256', data, service.publicKey, signature)
  }
  return cpuMsSince(before) / enrolments
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

const { devices, days, checkInHours } = new Command('year')
  .option('--devices <n>', 'a platform', Number, 12)
  .option('--days <n>', 'virtual', Number, 365)
  .option('--check-in-hours <n>', 'between check-ins of a device that nothing wakes', Number, 24)
  .parse()
  .opts<{ devices: number; days: number; checkInHours: number }>()
const run = (lasting: number) =>
  simulated({
    seed: 'year',
    devicesEach: devices,
    days: lasting,
    faults: false,
    checkInMs: checkInHours * 3_600_000,
    startOverMs: 86_400_000,
  })
await run(5)
const bareBefore = await bareCpuMs(200)
const before = process.cpuUsage()
const { certificatesIssued } = await run(days)
const cpuMs = cpuMsSince(before)
const bareMs = (bareBefore + (await bareCpuMs(200))) / 2
const passes = (4 * devices * days * 24) / checkInHours
console.log(
  `${4 * devices} devices, ${days} days, a check-in every ${checkInHours} h: ${certificatesIssued} certificates, ${(cpuMs / 1000).toFixed(1)} s of CPU`,
)
console.log(
  `an enrolment: ${(cpuMs / certificatesIssued).toFixed(2)} ms, the check-ins between two in it; its RSA alone ${bareMs.toFixed(2)} ms`,
)
console.log(`${(passes / certificatesIssued).toFixed(1)} check-ins an enrolment`)
console.log(`ratio ${(cpuMs / certificatesIssued / bareMs).toFixed(2)}, target 1.5`)
