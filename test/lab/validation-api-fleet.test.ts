import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { type HttpRequest, type HttpResponse, handlerTransport, type PolicyDocument } from '@certfleet/agent-core'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  extendedKeyUsageExtension,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  subjectAltNameExtension,
} from '@certfleet/agent-core/pki'
import { buildCertRep, type OpenedRequest, openPkiRequest, verifyPkiRequest } from '@certfleet/agent-core/scep/messages'
import { runFleet } from '@certfleet/emulator/fleet'
import { serveLab } from '@certfleet/emulator/lab'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { fleetOptions } from '../fakes/fleet-options.ts'
import { bundle } from '../fakes/scep-server.ts'
import { root as checkout } from '../tooling/root.ts'
import { policyWith, registrationToken, start, startLab, wifi } from './surroundings.ts'
import { intune, validationApi } from './third-party.ts'

type Csr = Extract<OpenedRequest, { readonly csr: unknown }>['csr']
type Enrol = (service: object, transactionId: string, csr: Uint8Array, issue: () => Promise<Uint8Array>) => Promise<Uint8Array>
const { enrol } = (await import(join(checkout, '.build/examples/scep-server-integration.js'))) as { enrol: Enrol }

const ca = { subject: 'CN=Other CA', key: await testKey('other-ca') }
const caCertificate = await testCertificate({ ...ca, ca: true })
const ra = { subject: 'CN=Other RA', key: await testKey('other-ra') }
const raCertificate = parseCertificate(await testCertificate({ ...ra, issuer: ca }))
const scepUrl = 'http://scep.example/scep'

const issue = ({ subject, publicKey, keyUsages, extendedKeyUsages }: Csr) =>
  buildCertificate({
    serialNumber: createHash('sha256')
      .update(publicKey)
      .digest()
      .subarray(0, 8)
      .map((octet, i) => (i === 0 ? 1 : octet)),
    issuer: ca.subject,
    subject,
    publicKey,
    notBefore: start - 60_000,
    notAfter: start + 30 * 86_400_000,
    extensions: [
      authorityKeyIdentifierExtension(keyIdentifierOf(ca.key.publicKey)),
      keyUsageExtension(keyUsages),
      extendedKeyUsageExtension(extendedKeyUsages.length > 0 ? extendedKeyUsages : wifi.extendedKeyUsages),
      subjectAltNameExtension(wifi.subjectAltNames),
    ],
    signer: ca.key,
    hash: 'sha256',
  })

/** A SCEP server that is not the lab's, with the glue of the example between request and answer. */
async function thirdParty({ url: text, body, method }: HttpRequest, service: object): Promise<HttpResponse> {
  const { searchParams } = new URL(text)
  const operation = searchParams.get('operation')
  if (operation === 'GetCACaps') return { status: 200, headers: {}, body: Buffer.from('AES\nSHA-256\nPOSTPKIOperation\nSCEPStandard\n') }
  if (operation === 'GetCACert') return { status: 200, headers: {}, body: bundle([raCertificate.raw, caCertificate]) }
  const message = verifyPkiRequest(method === 'POST' && body ? body : Buffer.from(searchParams.get('message') ?? '', 'base64'))
  const signer = { certificate: raCertificate, key: ra.key }
  const opened = await openPkiRequest(message, { recipients: [signer] })
  if (!('csr' in opened)) throw new Error('no request for a certificate')
  const issued = await enrol(service, message.transactionId, opened.csr.raw, () => issue(opened.csr)).catch(() => undefined)
  const answer = issued
    ? ({ status: 'success', certificates: [issued, caCertificate], crls: [], cipher: opened.cipher } as const)
    : ({ status: 'failure', failInfo: 'badRequest' } as const)
  return { status: 200, headers: {}, body: await buildCertRep({ request: message, answer, signer, hash: 'sha256' }) }
}

const policyOf = (deviceId: string): PolicyDocument => ({
  ...policyWith({ ...wifi, subject: `CN=${deviceId},O=Example`, scepUrls: [scepUrl] }),
  deviceId,
  trustedRoots: [
    {
      id: 'root',
      displayName: 'Other root',
      certificate: Buffer.from(caCertificate).toString('base64'),
      destinationStore: 'computer-root',
      assignedTo: ['device'],
    },
  ],
})

t.test("the fleet's devices enrol at somebody else's SCEP server, which asks the lab", async (t) => {
  const { lab, clock } = await startLab({ validationApi, policyFor: policyOf })
  const served = await serveLab(lab)
  t.teardown(served.close)
  const service = { ...validationApi, authority: served.url, graph: served.url, resource: intune }
  const transport = handlerTransport((request) => (request.url.startsWith(scepUrl) ? thirdParty(request, service) : lab.handle(request)))
  const osVersions = { ios: '18.0', macos: '15.0', android: '14', windows: '10.0.22631' } as const
  const specs = Object.entries(osVersions).map(([platform, osVersion]) => ({
    id: `${platform}-1`,
    platform: platform as keyof typeof osVersions,
    osVersion,
  }))
  const { devices } = await runFleet(fleetOptions({ specs, transport, clock, registrationToken }))
  for (const { platform, profiles } of devices)
    t.match(
      profiles.find(({ profileId }) => profileId === 'wifi'),
      { state: 'installed' },
      platform,
    )
  t.equal(devices.length, specs.length)
  const enrollments = [...(lab.validationApi?.enrollments() ?? [])]
  t.same(enrollments.map(({ binding, outcome }) => `${binding.deviceId} ${outcome?.status}`).sort(), [
    'android-1 issued',
    'ios-1 issued',
    'macos-1 issued',
    'windows-1 issued',
  ])
  t.same([...lab.issued()], [], 'none by the lab')
})
