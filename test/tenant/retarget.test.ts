import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { retarget } from '#emulator/tenant/index.ts'
import { bindTo, imported, profileOf, rootCertificate, scep, scepOf, trustedRoot } from './graph.ts'

const scepUrl = 'http://127.0.0.1:1/certsrv/mscep/mscep.dll'

function certificate(directory: string, name: string, issuer?: string): Uint8Array {
  const path = (file: string) => join(directory, file)
  const signer = issuer === undefined ? [] : ['-CA', path(`${issuer}.pem`), '-CAkey', path(`${issuer}.key`)]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path(`${name}.key`)]
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      ...key,
      ...signer,
      '-subj',
      `/CN=${name}`,
      '-addext',
      'basicConstraints=critical,CA:TRUE',
      '-out',
      path(`${name}.pem`),
    ],
    { stdio: 'pipe' },
  )
  return execFileSync('openssl', ['x509', '-in', path(`${name}.pem`), '-outform', 'DER'])
}

t.test('an export is pointed at a CA of one\u2019s own', async (t) => {
  const directory = t.testdir()
  const root = certificate(directory, 'lab-root')
  const issuing = certificate(directory, 'lab-issuing', 'lab-root')
  const intermediate = Buffer.from(issuing).toString('base64')
  const before = imported(
    trustedRoot({ destinationStore: 'computerCertStoreIntermediate' }),
    trustedRoot({ id: 'wifi', displayName: 'Wi-Fi CA' }),
    trustedRoot({
      id: 'middle',
      displayName: 'Middle',
      trustedRootCertificate: intermediate,
      destinationStore: 'computerCertStoreIntermediate',
    }),
    scep({ 'rootCertificate@odata.bind': bindTo('root-1') }),
    scep({ id: 'bad', keySize: 'size1' }),
  )
  const { imported: after, replaced } = retarget(before, { root, issuing: root, scepUrl })
  t.same(scepOf(after).scepUrls, [scepUrl])
  t.match(profileOf(after, 'root-1'), { certificate: root, destinationStore: 'computer-root', selfSigned: true })
  t.same(profileOf(after, 'wifi'), profileOf(before, 'wifi'), 'a root that nothing links to stays')
  t.match(profileOf(after, 'middle'), { certificate: root, destinationStore: 'computer-intermediate' })
  t.same(profileOf(after, 'bad'), profileOf(before, 'bad'))
  t.match(replaced, [
    { profileId: 'root-1', member: 'destinationStore', from: 'computer-intermediate', to: 'computer-root' },
    {
      profileId: 'root-1',
      displayName: 'Root',
      member: 'trustedRootCertificate',
      from: /Contoso Example Root.*SHA-256 [0-9a-f]{64}/,
      to: /CN=lab-root \(SHA-256/,
    },
    { profileId: 'middle', member: 'trustedRootCertificate', from: /CN=lab-issuing/ },
    { profileId: 'scep-1', member: 'scepServerUrls', from: 'https://ndes.example/certsrv/mscep/mscep.dll', to: scepUrl },
  ])
  t.match(
    profileOf(before, 'root-1'),
    { certificate: new Uint8Array(Buffer.from(rootCertificate, 'base64')) },
    'the import itself is unchanged',
  )
  const without = retarget(before, { root, scepUrl })
  t.same(profileOf(without.imported, 'middle'), profileOf(before, 'middle'))
  t.same(retarget(after, { root, scepUrl }).replaced, [], 'what is there already is not told')
})
