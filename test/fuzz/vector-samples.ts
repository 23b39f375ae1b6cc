import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openSignedData } from '@certfleet/agent-core/cms'
import { verifyPkiRequest } from '@certfleet/agent-core/scep/messages'
import { pemBlocks, pemDer, readJsonArray, readVectorFile } from '../vectors/suites/files.ts'
import type { LimboCase } from '../vectors/suites/limbo-format.ts'
import { readRecordings } from '../vectors/suites/scep-recordings.ts'
import type { Sample, SampleKind } from './corpus.ts'

/** The messages, requests and certificates of a folder of public vectors; what is not there is left out. */
export function vectorSamples(dir: string): readonly Sample[] {
  return [...scepSamples(dir), ...csrSamples(dir), ...pkcs7Samples(dir), ...limboSamples(dir), ...pfxSamples(dir)]
}

function scepSamples(dir: string): readonly Sample[] {
  const recordings = readRecordings(dir)
  if (!recordings) return []
  const { appleRequests, certRep, ca, unsignedCertRep, ca2, jscep } = recordings
  const apple = appleRequests[0]?.message as Uint8Array
  const jscepCa = openSignedData(jscep.scep_resp2, { signers: 'enclosed', legacySha1: true }).signer
  return [
    sample('micromdm PKCSReq', 'request', apple),
    { ...sample('smallstep CertRep', 'certRep', certRep), answer: { ...answered(apple), signers: [ca] } },
    { ...sample('NDES CertRep', 'certRep', unsignedCertRep), answer: { ...answered(apple), signers: [ca2] } },
    sample('jscep request', 'request', jscep.scep_req2),
    sample('jscep envelope', 'envelope', jscep.scep_req1),
    sample('jscep CSR', 'csr', jscep.scep_req0),
    { ...sample('jscep CertRep', 'certRep', jscep.scep_resp2), answer: { ...answered(jscep.scep_req2), signers: [jscepCa] } },
    sample('jscep certificates', 'caCertificates', jscep.scep_resp0),
  ]
}

function answered(request: Uint8Array) {
  const { transactionId, senderNonce } = verifyPkiRequest(request, { legacySha1: true })
  return { transactionId, senderNonce }
}

function csrSamples(dir: string): readonly Sample[] {
  const file = (name: string) => join(dir, 'csr', name)
  const there = ['challenge.pem', 'rsa_sha256.pem', 'san_rsa_sha1.pem'].filter((name) => existsSync(file(name)))
  return there.map((name) => sample(name, 'csr', pemDer(readVectorFile(file(name)).toString('latin1'))))
}

function pkcs7Samples(dir: string): readonly Sample[] {
  const file = (name: string) => join(dir, 'pkcs7', `${name}.pem`)
  const there = ['ber_test-testPKCS7', 'verify_test-SignedTestFixture'].filter((name) => existsSync(file(name)))
  return there.map((name) => sample(name, 'signedData', pemBlocks(readVectorFile(file(name)).toString('latin1'))[0]?.der as Uint8Array))
}

/** Files of each kind of MAC and encryption, with what opens them. */
const pfxFiles: readonly (readonly [file: string, password: string])[] = [
  ['cert-key-aes256cbc.p12', 'cryptography'],
  ['cert-rc2-key-3des.p12', 'cryptography'],
  ['name-all-pwd.p12', 'password'],
  ['no-password.p12', ''],
  ['pbmac1_256_256.good.p12', '1234'],
  ['pbmac1_512_512.good.p12', '1234'],
  ['test-BER.p12', '12345'],
]

function pfxSamples(dir: string): readonly Sample[] {
  const file = (name: string) => join(dir, 'pkcs12', name)
  const there = pfxFiles.filter(([name]) => existsSync(file(name)))
  return there.map(([name, password]) => ({ ...sample(name, 'pfx', readVectorFile(file(name))), password }))
}

const limboShare = 16

/** Every few of the certificates and all CRLs. */
function limboSamples(dir: string): readonly Sample[] {
  const file = join(dir, 'x509-limbo', 'limbo.json')
  if (!existsSync(file)) return []
  const cases = readJsonArray(file, 'testcases') as readonly LimboCase[]
  const crls = cases.flatMap(({ id, crls }) => crls.map((pem) => sample(id, 'crl', pemDer(pem))))
  const some = cases.filter(({ expected_result }, i) => i % limboShare === 0 && expected_result === 'SUCCESS')
  return [...crls, ...some.map(({ id, peer_certificate }) => sample(id, 'certificate', pemDer(peer_certificate)))]
}

function sample(name: string, kind: SampleKind, bytes: Uint8Array): Sample {
  return { name, kind, bytes, layers: [] }
}
