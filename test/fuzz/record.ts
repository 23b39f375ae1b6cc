import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../tooling/root.ts'
import type { SampleKind } from './corpus.ts'
import { createWorld, type Holder } from './world.ts'

// Writes recorded.json anew, with the openssl CLI and the fuzzer's keys: node --import tsx --conditions=certfleet-source test/fuzz/record.ts

type Recipe = readonly [name: string, kind: SampleKind, command: string]

/** `OUT` is where the message goes, DER; `ra`, `client`, `issuing` and `root` are certificates with their keys. */
const recipes: readonly Recipe[] = [
  ['openssl self-signed EC', 'certificate', 'req -x509 -key ec.key -config all.cnf -extensions all -days 3000 -outform DER -out OUT'],
  [
    'openssl RSASSA-PSS',
    'certificate',
    'req -x509 -key ra.key -config all.cnf -extensions ca -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sha256 -days 3000 -outform DER -out OUT',
  ],
  ['openssl Ed25519', 'certificate', 'req -x509 -key ed.key -config all.cnf -extensions ca -days 3000 -outform DER -out OUT'],
  [
    'openssl issued',
    'certificate',
    'x509 -new -force_pubkey client.pub -subj /CN=device -CA issuing.pem -CAkey issuing.key -extfile all.cnf -extensions all -days 3000 -outform DER -out OUT',
  ],
  [
    'openssl cross CA',
    'certificate',
    'x509 -new -force_pubkey ra.pub -subj /O=certfleet/CN=cross -CA root.pem -CAkey root.key -extfile all.cnf -extensions ca -days 3000 -outform DER -out OUT',
  ],
  [
    'openssl CRL',
    'crl',
    'ca -gencrl -config all.cnf -name authority -crlexts crl -cert issuing.pem -keyfile issuing.key -crldays 3000 -out crl.pem',
  ],
  ['openssl CSR', 'csr', 'req -new -key client.key -config all.cnf -reqexts request -outform DER -out OUT'],
  ['openssl CSR EC', 'csr', 'req -new -key ec.key -config all.cnf -reqexts request -outform DER -out OUT'],
  ['openssl signed', 'signedData', 'cms -sign -signer ra.pem -inkey ra.key -nodetach -binary -md sha512 -in text -outform DER -out OUT'],
  [
    'openssl signed, streamed',
    'signedData',
    'cms -sign -signer ra.pem -inkey ra.key -nodetach -binary -stream -md sha256 -in text -outform DER -out OUT',
  ],
  [
    'openssl signed, by key identifier',
    'signedData',
    'cms -sign -signer ra.pem -inkey ra.key -keyid -certfile issuing.pem -nodetach -binary -in text -outform DER -out OUT',
  ],
  ['openssl envelope, 3DES', 'envelope', 'cms -encrypt -binary -des3 -in text -outform DER -out OUT ra.pem'],
  ['openssl envelope, streamed', 'envelope', 'cms -encrypt -binary -aes-256-cbc -stream -in text -outform DER -out OUT ra.pem'],
  [
    'openssl envelope, OAEP',
    'envelope',
    'cms -encrypt -binary -aes-192-cbc -recip ra.pem -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256 -in text -outform DER -out OUT',
  ],
  [
    'openssl envelope, two recipients',
    'envelope',
    'cms -encrypt -binary -aes-128-cbc -keyid -in text -outform DER -out OUT client.pem ra.pem',
  ],
  [
    'openssl certificates only',
    'caCertificates',
    'crl2pkcs7 -nocrl -certfile root.pem -certfile issuing.pem -certfile ra.pem -outform DER -out OUT',
  ],
]

const config = `[req]
distinguished_name=name
prompt=no
attributes=attributes
string_mask=utf8only
[name]
C=DE
O=certfleet \\"fuzz\\"
OU=Räume
CN=openssl
emailAddress=a@b.example
[attributes]
challengePassword=openssl challenge
unstructuredName=unstructured
[request]
basicConstraints=CA:FALSE
keyUsage=digitalSignature
extendedKeyUsage=clientAuth
subjectAltName=DNS:device.example.com,email:a@b.example,IP:192.0.2.1,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@b
[all]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=clientAuth,serverAuth,1.2.3.4
subjectAltName=DNS:device.example.com,email:a@b.example,IP:192.0.2.1,IP:2001:db8::1,URI:http://b.example/,RID:1.2.3,dirName:name,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@b
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
crlDistributionPoints=URI:http://crl.example/a.crl
authorityInfoAccess=OCSP;URI:http://ocsp.example/
certificatePolicies=1.2.3.4
[ca]
basicConstraints=critical,CA:TRUE,pathlen:2
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
nameConstraints=critical,permitted;DNS:example.com,excluded;IP:10.0.0.0/255.0.0.0,permitted;email:b.example,permitted;dirName:name
policyConstraints=requireExplicitPolicy:3
inhibitAnyPolicy=2
[authority]
database=index.txt
crlnumber=number
default_md=sha256
[crl]
authorityKeyIdentifier=keyid
issuingDistributionPoint=critical,@point
[point]
fullname=URI:http://crl.example/a.crl
onlyuser=TRUE
`

const folder = mkdtempSync(join(tmpdir(), 'certfleet-record-'))
try {
  await writeInputs()
  const samples = recipes.map(([name, kind, command]) => ({ name, kind, base64: Buffer.from(run(command)).toString('base64') }))
  writeFileSync(join(root, 'test', 'fuzz', 'recorded.json'), `${JSON.stringify(samples, undefined, 2)}\n`)
} finally {
  rmSync(folder, { recursive: true })
}

async function writeInputs(): Promise<void> {
  for (const [name, holder] of Object.entries(await createWorld())) writeHolder(name, holder)
  write('all.cnf', config)
  write('text', 'the content of a message\n'.repeat(8))
  write('index.txt', 'R\t350101000000Z\t260101000000Z,keyCompromise\t1234\tunknown\t/CN=x\n')
  write('number', '07\n')
  openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'ec.key'])
  openssl(['genpkey', '-algorithm', 'ED25519', '-out', 'ed.key'])
}

function writeHolder(name: string, { certificate, key }: Holder): void {
  write(`${name}.key`, key.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString())
  openssl(['x509', '-inform', 'DER', '-out', `${name}.pem`], certificate.raw)
  openssl(['pkey', '-in', `${name}.key`, '-pubout', '-out', `${name}.pub`])
}

function run(command: string): Uint8Array {
  openssl(command.replace('OUT', 'out.der').split(' '))
  if (command.startsWith('ca ')) openssl(['crl', '-in', 'crl.pem', '-outform', 'DER', '-out', 'out.der'])
  return readFileSync(join(folder, 'out.der'))
}

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text)
}

function openssl(args: readonly string[], input: Uint8Array = new Uint8Array()): void {
  execFileSync('openssl', args, { cwd: folder, input, stdio: ['pipe', 'pipe', 'inherit'] })
}
