import { type PathRequest, PurposeOid, verifyPath } from '@certfleet/agent-core/pki'
import t from 'tap'
import { caExtensions, type Issued, leafExtensions, OpensslAuthority } from './path-fixtures.ts'

const day = 86_400_000
const ca = new OpensslAuthority(t.testdir())
const root = ca.issue({ subject: '/O=Example/CN=Root', extensions: caExtensions, days: 100 })
const now = root.certificate.notBefore + 3_600_000

const issuing = intermediate('Issuing', caExtensions)
const leaf = device(issuing, ['subjectAltName=DNS:device.example.com,DNS:*.pool.example.com,IP:192.0.2.7,IP:2001:db8::7'])

t.test('a path is found from the leaf to the root, whatever the order', (t) => {
  const stray = ca.issue({ subject: '/CN=Stray', extensions: caExtensions })
  const verdict = verifyPath({ leaf: leaf.certificate, intermediates: certs(stray, root, issuing), roots: certs(stray, root), at: now })
  t.ok(verdict.ok)
  if (verdict.ok) t.strictSame(verdict.chain, [leaf.certificate, issuing.certificate, root.certificate])
  t.end()
})

/** Name of the row, what differs from a good request, what comes out. */
type Row = readonly [name: string, request: Partial<PathRequest>, expected: string]

function rows(title: string, table: readonly Row[]): void {
  t.test(title, (t) => {
    for (const [name, request, expected] of table) {
      const verdict = verifyPath({ leaf: leaf.certificate, intermediates: certs(issuing), roots: certs(root), at: now, ...request })
      t.equal(verdict.ok ? 'ok' : verdict.code, expected, name)
    }
    t.end()
  })
}

const impostor = ca.issue({
  subject: '/CN=Issuing',
  issuer: ca.issue({ subject: '/O=Example/CN=Root', extensions: caExtensions }),
  extensions: caExtensions,
})
const stranger = ca.issue({ subject: '/CN=Stranger', extensions: caExtensions })
rows('trust', [
  ['no roots', { roots: [] }, 'no-path'],
  ['no intermediates', { intermediates: [] }, 'no-path'],
  ['an issuer of the right name with another key', { intermediates: certs(impostor) }, 'signature-invalid'],
  ['the wrong issuer first, the right one behind', { intermediates: certs(impostor, issuing) }, 'ok'],
  ['the intermediate as the only root', { roots: certs(issuing), intermediates: [] }, 'ok'],
  ['the root itself', { leaf: root.certificate }, 'ok'],
  ['a CA of the right name under a root of the right name', { leaf: impostor.certificate }, 'signature-invalid'],
  ['a self-signed leaf that is no root', { leaf: stranger.certificate }, 'no-path'],
  ['a self-signed issuer that is no root', below(stranger), 'no-path'],
])

rows('validity', [
  ['at notBefore', { at: leaf.certificate.notBefore }, 'ok'],
  ['a second before notBefore', { at: root.certificate.notBefore - 1000 }, 'not-yet-valid'],
  ['at notAfter', { at: leaf.certificate.notAfter }, 'ok'],
  ['in the second of notAfter', { at: leaf.certificate.notAfter + 999 }, 'ok'],
  ['a second after notAfter', { at: leaf.certificate.notAfter + 1000 }, 'expired'],
  ['at no moment', { at: Number.NaN }, 'not-yet-valid'],
  ['an expired intermediate', below(intermediate('Short', caExtensions, 1), { at: now + 5 * day }), 'expired'],
  ['an expired root', { roots: certs(root), leaf: device(root, [], 200).certificate, at: now + 150 * day }, 'expired'],
])

const withoutAki = [...without('authorityKeyIdentifier', leafExtensions), 'authorityKeyIdentifier=none']
rows('CA rules (RFC 5280 6.1.4)', [
  ['no basicConstraints', below(intermediate('NoBc', caExtensions.slice(1))), 'profile-violated'],
  ['no basicConstraints and no keyUsage', below(intermediate('NoBcKu', caExtensions.slice(2))), 'not-a-ca'],
  ['cA false', below(intermediate('NotCa', ['basicConstraints=critical,CA:FALSE', ...caExtensions.slice(2)])), 'not-a-ca'],
  ['basicConstraints not critical', below(intermediate('Soft', ['basicConstraints=CA:TRUE', ...caExtensions.slice(1)])), 'ok'],
  ['no keyUsage', below(intermediate('NoKu', without('keyUsage'))), 'ok'],
  ['keyUsage without keyCertSign', below(intermediate('NoSign', [...without('keyUsage'), 'keyUsage=cRLSign'])), 'key-usage'],
  [
    'a leaf that may sign certificates but is no CA',
    { leaf: device(issuing, ['keyUsage=keyCertSign'], 30, without('keyUsage', leafExtensions)).certificate },
    'profile-violated',
  ],
  ['a leaf as an issuer', { leaf: device(leaf, []).certificate, intermediates: certs(issuing, leaf) }, 'not-a-ca'],
  [
    'no subjectKeyIdentifier',
    below(intermediate('NoSki', [...without('subjectKeyIdentifier'), 'subjectKeyIdentifier=none']), {}, withoutAki),
    'profile-violated',
  ],
  ['no authorityKeyIdentifier', { leaf: device(issuing, [], 30, withoutAki).certificate }, 'profile-violated'],
])

const zero = intermediate('Zero', ['basicConstraints=critical,CA:TRUE,pathlen:0', ...caExtensions.slice(1)])
const belowZero = ca.issue({ subject: '/CN=BelowZero', issuer: zero, extensions: caExtensions })
const zeroAgain = ca.issue({ subject: '/CN=Zero', issuer: zero, extensions: caExtensions })
rows('pathLenConstraint', [
  ['0 with a leaf below', below(zero), 'ok'],
  ['0 with a CA as leaf', { leaf: belowZero.certificate, intermediates: certs(zero) }, 'ok'],
  ['0 with a CA between', below(belowZero, { intermediates: certs(zero, belowZero) }), 'path-too-long'],
  ['0 with a self-issued CA between', below(zeroAgain, { intermediates: certs(zero, zeroAgain) }), 'ok'],
])

rows('critical extensions', [
  ['unknown in the leaf', { leaf: device(issuing, ['1.3.6.1.4.1.99999.1=critical,DER:0500']).certificate }, 'critical-extension'],
  ['unknown but not critical', { leaf: device(issuing, ['1.3.6.1.4.1.99999.1=DER:0500']).certificate }, 'ok'],
  [
    'unknown in an intermediate',
    below(intermediate('Odd', [...caExtensions, '1.3.6.1.4.1.99999.1=critical,DER:0500'])),
    'critical-extension',
  ],
  [
    'authorityInfoAccess',
    { leaf: device(issuing, ['authorityInfoAccess=critical,OCSP;URI:http://ocsp.example.com']).certificate },
    'critical-extension',
  ],
  ['certificatePolicies', { leaf: device(issuing, ['certificatePolicies=critical,1.2.3.4']).certificate }, 'ok'],
  [
    'requireExplicitPolicy',
    below(intermediate('Policy', [...caExtensions, 'policyConstraints=critical,requireExplicitPolicy:0'])),
    'policy-unsupported',
  ],
  [
    'inhibitPolicyMapping alone',
    below(intermediate('Mapping', [...caExtensions, 'policyConstraints=critical,inhibitPolicyMapping:0'])),
    'ok',
  ],
  [
    'policyConstraints that are not critical',
    below(intermediate('SoftPolicy', [...caExtensions, 'policyConstraints=inhibitPolicyMapping:0'])),
    'profile-violated',
  ],
])

const clientOnly = intermediate('ClientOnly', [...caExtensions, 'extendedKeyUsage=clientAuth'])
rows('purpose, nested', [
  ['no extendedKeyUsage anywhere', { purpose: PurposeOid.ClientAuth }, 'ok'],
  ['the leaf names it', { leaf: device(issuing, ['extendedKeyUsage=clientAuth']).certificate, purpose: PurposeOid.ClientAuth }, 'ok'],
  [
    'the leaf names another',
    { leaf: device(issuing, ['extendedKeyUsage=serverAuth']).certificate, purpose: PurposeOid.ClientAuth },
    'purpose-mismatch',
  ],
  [
    'the leaf names any',
    { leaf: device(issuing, ['extendedKeyUsage=anyExtendedKeyUsage']).certificate, purpose: PurposeOid.ClientAuth },
    'ok',
  ],
  ['the CA names it', below(clientOnly, { purpose: PurposeOid.ClientAuth }), 'ok'],
  ['the CA names another', below(clientOnly, { purpose: PurposeOid.ServerAuth }), 'purpose-mismatch'],
  ['nobody asks', below(clientOnly), 'ok'],
])

rows('hostname (RFC 9525)', [
  ['equal', { hostname: 'device.example.com' }, 'ok'],
  ['equal but for case', { hostname: 'DEVICE.example.COM' }, 'ok'],
  ['another', { hostname: 'other.example.com' }, 'hostname-mismatch'],
  ['one label for the wildcard', { hostname: 'a.pool.example.com' }, 'ok'],
  ['two labels for the wildcard', { hostname: 'a.b.pool.example.com' }, 'hostname-mismatch'],
  ['no label for the wildcard', { hostname: 'pool.example.com' }, 'hostname-mismatch'],
  ['the wildcard itself', { hostname: '*.pool.example.com' }, 'hostname-mismatch'],
  ['IPv4', { hostname: '192.0.2.7' }, 'ok'],
  ['another IPv4', { hostname: '192.0.2.8' }, 'hostname-mismatch'],
  ['IPv6, written otherwise', { hostname: '2001:0DB8:0:0::0:7' }, 'ok'],
  ['IPv6, with IPv4 inside', { hostname: '2001:db8::0.0.0.7' }, 'ok'],
  [
    'the common name is no host name',
    {
      leaf: ca.issue({ subject: '/CN=cn.example.com', issuer: issuing, extensions: leafExtensions }).certificate,
      hostname: 'cn.example.com',
    },
    'hostname-mismatch',
  ],
  [
    'an IP address in a dNSName',
    { leaf: device(issuing, ['subjectAltName=DNS:192.0.2.7']).certificate, hostname: '192.0.2.7' },
    'hostname-mismatch',
  ],
  [
    'an underscore',
    { leaf: device(issuing, ['subjectAltName=DNS:a_b.example.com']).certificate, hostname: 'a_b.example.com' },
    'hostname-mismatch',
  ],
])

/** Constraint of the CA, extensions of the leaf, outcome. */
const constraints: readonly (readonly [constraint: string, san: string, expected: string])[] = [
  ['permitted;DNS:example.com', 'DNS:example.com', 'ok'],
  ['permitted;DNS:example.com', 'DNS:a.b.EXAMPLE.com', 'ok'],
  ['permitted;DNS:example.com', 'DNS:notexample.com', 'name-constraints'],
  ['permitted;DNS:example.com', 'DNS:*.example.com', 'ok'],
  ['permitted;DNS:example.com', 'DNS:.example.com', 'name-constraints'],
  ['permitted;DNS:.example.com', 'DNS:a.example.com', 'name-constraints'],
  ['permitted;DNS:example.com', 'email:a@other.test', 'ok'],
  ['excluded;DNS:bad.example.com', 'DNS:good.example.com', 'ok'],
  ['excluded;DNS:bad.example.com', 'DNS:a.bad.example.com', 'name-constraints'],
  ['excluded;DNS:bad.example.com', 'DNS:*.example.com', 'name-constraints'],
  ['permitted;email:a@example.com', 'email:a@EXAMPLE.com', 'ok'],
  ['permitted;email:a@example.com', 'email:A@example.com', 'name-constraints'],
  ['permitted;email:example.com', 'email:b@example.com', 'ok'],
  ['permitted;email:example.com', 'email:b@sub.example.com', 'name-constraints'],
  ['permitted;email:.example.com', 'email:b@sub.example.com', 'ok'],
  ['permitted;email:.example.com', 'email:b@example.com', 'name-constraints'],
  ['permitted;email:example.com', 'email:a@b@example.com', 'name-constraints'],
  ['permitted;URI:example.com', 'URI:https://example.com:8443/a', 'ok'],
  ['permitted;URI:example.com', 'URI:https://a.example.com/', 'name-constraints'],
  ['permitted;URI:.example.com', 'URI:https://a.example.com/', 'ok'],
  ['permitted;URI:example.com', 'URI:https://example.com@evil.test/', 'name-constraints'],
  ['excluded;URI:example.com', 'URI:urn:uuid:1', 'name-constraints'],
  ['permitted;IP:192.0.2.0/255.255.255.0', 'IP:192.0.2.255', 'ok'],
  ['permitted;IP:192.0.2.0/255.255.255.0', 'IP:192.0.3.0', 'name-constraints'],
  ['permitted;IP:192.0.2.0/255.0.255.0', 'IP:192.0.2.1', 'name-constraints'],
  ['excluded;IP:192.0.2.0/255.255.255.0', 'IP:2001:db8::1', 'ok'],
  ['excluded;IP:2001:db8::/ffff:ffff::', 'IP:2001:db8::1', 'name-constraints'],
  ['excluded;otherName:1.2.3.4;UTF8:a', 'DNS:example.com', 'ok'],
  ['excluded;otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a', 'otherName:1.3.6.1.4.1.311.20.2.3;UTF8:b', 'name-constraints'],
]
const constrained = new Map<string, Issued>()
rows(
  'name constraints of the issuer',
  constraints.map(([constraint, san, expected]) => [
    `${constraint} | ${san}`,
    below(constrainedBy(constraint), {}, [...leafExtensions, `subjectAltName=${san}`]),
    expected,
  ]),
)

function constrainedBy(constraint: string): Issued {
  const known =
    constrained.get(constraint) ??
    intermediate(`Constrained ${constrained.size}`, [...caExtensions, `nameConstraints=critical,${constraint}`])
  constrained.set(constraint, known)
  return known
}

const constrainedRoot = ca.issue({
  subject: '/CN=ConstrainedRoot',
  extensions: [...caExtensions, 'nameConstraints=critical,permitted;DNS:example.com'],
})
const outside = ca.issue({
  subject: '/CN=Outside',
  issuer: constrainedRoot,
  extensions: [...caExtensions, 'subjectAltName=DNS:other.test'],
})
const selfIssued = ca.issue({
  subject: '/CN=ConstrainedRoot',
  issuer: constrainedRoot,
  extensions: [...caExtensions, 'subjectAltName=DNS:other.test'],
})
const companyOnly = intermediate('Company', [
  ...caExtensions,
  'nameConstraints=critical,permitted;dirName:company',
  '[company]',
  'O=Example',
])
const subjectOf = (subject: string, issuer = companyOnly) => ({
  leaf: ca.issue({ subject, issuer, extensions: leafExtensions }).certificate,
  intermediates: certs(issuer),
})
rows('whose name constraints apply to what', [
  [
    "the root's to the leaf",
    { roots: certs(constrainedRoot), leaf: device(constrainedRoot, ['subjectAltName=DNS:other.test']).certificate },
    'name-constraints',
  ],
  ["the root's to an intermediate", { roots: certs(constrainedRoot), ...below(outside) }, 'name-constraints'],
  ["the root's not to a self-issued intermediate", { roots: certs(constrainedRoot), ...below(selfIssued) }, 'ok'],
  [
    'in a certificate that is no CA',
    { leaf: device(issuing, ['nameConstraints=critical,permitted;DNS:example.com']).certificate },
    'profile-violated',
  ],
  ['directory names, inside', subjectOf('/O=Example/CN=x'), 'ok'],
  ['directory names, inside but for case and spaces', subjectOf('/O=  EXAMPLE /CN=x'), 'ok'],
  ['directory names, outside', subjectOf('/O=Other/CN=x'), 'name-constraints'],
  ['directory names, a prefix of the text only', subjectOf('/O=Example Two/CN=x'), 'name-constraints'],
  ['email in the subject', subjectOf('/CN=x/emailAddress=a@other.test', constrainedBy('permitted;email:example.com')), 'name-constraints'],
])

const rsa1024 = ca.key('rsa-1024')
const withKey = (keyFile: string) => ({
  leaf: ca.issue({ subject: '/CN=x', issuer: issuing, keyFile, extensions: leafExtensions }).certificate,
})
const hashed = (hash: string) => ({ leaf: ca.issue({ subject: '/CN=x', issuer: issuing, hash, extensions: leafExtensions }).certificate })
rows('algorithm floor', [
  ['RSA-2048', withKey(ca.key('rsa-2048')), 'ok'],
  ['Ed25519', withKey(ca.key('ed25519')), 'ok'],
  ['RSA-1024', withKey(rsa1024), 'algorithm-refused'],
  ['RSA-1024 where it is asked for', { ...withKey(rsa1024), minRsaBits: 1024 }, 'ok'],
  ['RSA-1024 where it is asked for in the leaf', { ...withKey(rsa1024), minLeafRsaBits: 1024 }, 'ok'],
  ['one bit more than that', { ...withKey(rsa1024), minLeafRsaBits: 1025 }, 'algorithm-refused'],
  ['a leaf floor above the CAs', { ...withKey(ca.key('rsa-2048')), minLeafRsaBits: 2049 }, 'algorithm-refused'],
  ['one bit more than the key has', { ...withKey(rsa1024), minRsaBits: 1025 }, 'algorithm-refused'],
  ['SHA-384', hashed('sha384'), 'ok'],
  ['SHA-1', hashed('sha1'), 'algorithm-refused'],
  ['SHA-1 with the switch', { ...hashed('sha1'), legacySha1: true }, 'ok'],
  [
    'an RSA-1024 issuer',
    below(ca.issue({ subject: '/CN=WeakCa', issuer: root, keyFile: rsa1024, extensions: caExtensions })),
    'algorithm-refused',
  ],
  [
    'an RSA-1024 issuer where RSA-1024 is asked for in the leaf',
    { ...below(ca.issue({ subject: '/CN=WeakCa', issuer: root, keyFile: rsa1024, extensions: caExtensions })), minLeafRsaBits: 1024 },
    'algorithm-refused',
  ],
])

const other = ca.issue({ subject: '/CN=OtherRoot', extensions: caExtensions })
const crossSigned = ca.issue({ subject: '/CN=Issuing', issuer: other, keyFile: issuing.keyFile, extensions: caExtensions })
const cycleA = ca.issue({ subject: '/CN=A', extensions: caExtensions })
const cycleB = ca.issue({ subject: '/CN=B', issuer: cycleA, extensions: caExtensions })
const cycleAUnderB = ca.issue({ subject: '/CN=A', issuer: cycleB, keyFile: cycleA.keyFile, extensions: caExtensions })
rows('building', [
  ['a cross-signed CA, to one root', { intermediates: certs(issuing, crossSigned) }, 'ok'],
  ['a cross-signed CA, to the other', { intermediates: certs(issuing, crossSigned), roots: certs(other) }, 'ok'],
  ['a cycle without a root', below(cycleB, { intermediates: certs(cycleB, cycleAUnderB) }), 'no-path'],
  ['a cycle beside the way to the root', below(cycleB, { intermediates: certs(cycleB, cycleAUnderB), roots: certs(cycleA) }), 'ok'],
])

t.test('a crowd of CAs of one name is searched to its end, soon', (t) => {
  const first = ca.issue({ subject: '/CN=Crowd', extensions: caExtensions })
  const crowd = [first]
  while (crowd.length < 12) crowd.push(ca.issue({ subject: '/CN=Crowd', issuer: crowd.at(-1) as Issued, extensions: caExtensions }))
  const request = { leaf: device(crowd.at(-1) as Issued, []).certificate, intermediates: certs(...crowd), at: now }
  const started = process.hrtime.bigint()
  t.match(verifyPath({ ...request, roots: certs(first) }), { ok: true })
  t.match(verifyPath({ ...request, roots: certs(root) }), { ok: false, code: 'no-path' })
  t.ok(process.hrtime.bigint() - started < 1_000_000_000n, 'within a second')
  t.end()
})

t.test('thousands of names against thousands of constraints spend the budget', (t) => {
  const many = Array.from({ length: 600 }, (_, i) => `excluded;DNS:x${i}.test`).join(',')
  const busy = intermediate('Busy', [...caExtensions, `nameConstraints=critical,${many}`])
  const san = Array.from({ length: 600 }, (_, i) => `DNS:y${i}.test`).join(',')
  const verdict = verifyPath({ ...below(busy, {}, [...leafExtensions, `subjectAltName=${san}`]), roots: certs(root), at: now })
  t.match(verdict, { ok: false, code: 'budget-spent' })
  t.end()
})

const quiet = { crls: [ca.crl(root, []), ca.crl(issuing, [])] }
const noCrlSign = ca.issue({ subject: '/CN=NoCrlSign', issuer: root, extensions: [...without('keyUsage'), 'keyUsage=keyCertSign'] })
const crlSigner = ca.issue({
  subject: '/CN=Issuing',
  issuer: root,
  extensions: [...leafExtensions.filter((line) => !line.startsWith('keyUsage')), 'keyUsage=critical,cRLSign'],
})
const scoped = (point: string) =>
  ca.crl(issuing, [], { extensions: ['authorityKeyIdentifier=keyid', 'issuingDistributionPoint=critical,@point', '[point]', point] })
rows('CRLs', [
  ['none are given, none are needed', {}, 'ok'],
  ['an empty list covers nothing', { crls: [] }, 'revocation-unknown'],
  ['all are covered, none is revoked', quiet, 'ok'],
  ['the leaf is revoked', { crls: [ca.crl(root, []), ca.crl(issuing, [leaf])] }, 'revoked'],
  ['the intermediate is revoked', { crls: [ca.crl(root, [issuing]), ca.crl(issuing, [])] }, 'revoked'],
  ["the leaf's serial number on another CA's CRL", { crls: [ca.crl(root, [leaf]), ca.crl(issuing, [])] }, 'ok'],
  ['no CRL for the leaf', { crls: [ca.crl(root, [])] }, 'revocation-unknown'],
  ['the CRL has expired', { ...quiet, at: now + 8 * day }, 'revocation-unknown'],
  ["an impostor's CRL", { crls: [ca.crl(root, []), ca.crl(impostor, [])] }, 'revocation-unknown'],
  ['a CRL without a number', { crls: [ca.crl(root, []), withoutNumber()] }, 'revocation-unknown'],
  [
    'an unknown critical extension',
    { crls: [ca.crl(root, []), ca.crl(issuing, [], { extensions: ['1.3.6.1.4.1.99999.1=critical,DER:0500'] })] },
    'revocation-unknown',
  ],
  ['an issuer without cRLSign', { ...below(noCrlSign), crls: [ca.crl(root, []), ca.crl(noCrlSign, [])] }, 'revocation-unknown'],
  ['a CRL signer of its own', { crls: [ca.crl(root, []), ca.crl(crlSigner, [])], intermediates: certs(issuing, crlSigner) }, 'ok'],
  [
    'a CRL signer of its own, revoked',
    { crls: [ca.crl(root, [crlSigner]), ca.crl(crlSigner, [])], intermediates: certs(issuing, crlSigner) },
    'revocation-unknown',
  ],
  ['for users only', { crls: [ca.crl(root, []), scoped('onlyuser=TRUE')] }, 'ok'],
  ['for CAs only', { crls: [ca.crl(root, []), scoped('onlyCA=TRUE')] }, 'revocation-unknown'],
  ['for some reasons only', { crls: [ca.crl(root, []), scoped('onlysomereasons=keyCompromise')] }, 'revocation-unknown'],
  [
    'for another distribution point',
    { crls: [ca.crl(root, []), scoped('fullname=URI:http://crl.example.com/other')] },
    'revocation-unknown',
  ],
  [
    'for the distribution point of the leaf',
    {
      leaf: device(issuing, ['crlDistributionPoints=URI:http://crl.example.com/a']).certificate,
      crls: [ca.crl(root, []), scoped('fullname=URI:http://crl.example.com/a')],
    },
    'ok',
  ],
])

function withoutNumber() {
  return { ...ca.crl(issuing, []), number: undefined }
}

function intermediate(name: string, extensions: readonly string[], days = 60): Issued {
  return ca.issue({ subject: `/CN=${name}`, issuer: root, extensions, days })
}

function device(issuer: Issued, extra: readonly string[], days = 30, base: readonly string[] = leafExtensions): Issued {
  return ca.issue({ subject: '/CN=device', issuer, extensions: [...base, ...extra], days })
}

/** A request for a leaf right below `issuer`. */
function below(issuer: Issued, more: Partial<PathRequest> = {}, extensions: readonly string[] = leafExtensions) {
  return { leaf: device(issuer, [], 30, extensions).certificate, intermediates: certs(issuer), ...more }
}

function without(name: string, extensions: readonly string[] = caExtensions): string[] {
  return extensions.filter((line) => !line.startsWith(name))
}

function certs(...issued: readonly Issued[]) {
  return issued.map(({ certificate }) => certificate)
}
