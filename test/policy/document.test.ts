import { execFileSync } from 'node:child_process'
import { AgentError, maxPolicyBytes, maxPolicyProfiles, type PolicyDocument, parsePolicy } from '@certfleet/agent-core'
import fc from 'fast-check'
import t from 'tap'
import { emptyPolicy } from '../contracts/policy-source.ts'
import { makeRoot } from './certificate.ts'

const certificate = makeRoot(t, '/CN=Contoso Root')
const root: PolicyDocument['trustedRoots'][number] = {
  id: 'root-1',
  displayName: 'Contoso Root',
  certificate: Buffer.from(certificate).toString('base64'),
  destinationStore: 'computer-root',
  assignedTo: ['device', 'user'],
}
const scep: PolicyDocument['scepProfiles'][number] = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  assignedTo: ['device'],
  scepUrls: ['https://ndes.example/certsrv/mscep/mscep.dll'],
  rootProfileId: 'root-1',
  hash: 'sha256',
  renewalThresholdPercent: 20,
  subject: 'CN=dev',
  subjectAltNames: [{ type: 'dns', value: 'dev.example' }],
  keyBits: 2048,
  keyStorage: 'useSoftwareKsp',
  keyUsages: ['digitalSignature'],
  extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
  validity: { value: 1, scale: 'years' },
}
const failedProfile: PolicyDocument['failedProfiles'][number] = {
  id: 'vpn',
  displayName: 'VPN',
  principal: 'user',
  code: 'ERR_VARIABLE_UNRESOLVED',
  message: 'no value for {{UserPrincipalName}}',
}
const document: PolicyDocument = { ...emptyPolicy, trustedRoots: [root], scepProfiles: [scep], failedProfiles: [failedProfile] }

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const parse = (value: unknown, deviceId?: string) => parsePolicy(encode(value), deviceId)

await t.test('a device that is managed no longer', async (t) => {
  for (const lifecycle of ['retired', 'wiped', 'unenrolled', 'unlicensed'] as const)
    t.equal(parse({ ...document, lifecycle }).lifecycle, lifecycle)
  t.notOk('lifecycle' in parse(document))
})

await t.test('what two devices are told alike is there once, and each has its own names', async (t) => {
  const [one, other] = ['CN=one', 'CN=other'].map((subject) => parse({ ...document, scepProfiles: [{ ...scep, subject }] }))
  t.equal(one?.trustedRoots[0], other?.trustedRoots[0])
  t.equal(one?.scepProfiles[0]?.scepUrls, other?.scepProfiles[0]?.scepUrls)
  t.equal(one?.scepProfiles[0]?.request.subject, 'CN=one')
  t.equal(other?.scepProfiles[0]?.request.subject, 'CN=other')
  const [renamed] = parse({ ...document, trustedRoots: [{ ...root, displayName: 'Renamed' }] }).trustedRoots
  t.equal(renamed?.displayName, 'Renamed')
})

await t.test('a whole document', async (t) => {
  const policy = parse(document, 'device-1')
  await t.test('the root is its DER, named as openssl names it', async (t) => {
    const shown = execFileSync('openssl', ['x509', '-inform', 'DER', '-noout', '-fingerprint', '-sha256'], { input: certificate })
    const fingerprint = shown.toString().trim().split('=')[1]?.replaceAll(':', '').toLowerCase()
    t.same(policy.trustedRoots, [
      {
        id: 'root-1',
        displayName: 'Contoso Root',
        certificate,
        fingerprint,
        destinationStore: 'computer-root',
        assignedTo: ['device', 'user'],
      },
    ])
  })
  await t.test('the SCEP profile names the fingerprint of its root', async (t) => {
    t.same(policy.scepProfiles, [
      {
        id: 'wifi',
        displayName: 'Wi-Fi',
        principal: 'device',
        assignedTo: ['device'],
        scepUrls: ['https://ndes.example/certsrv/mscep/mscep.dll'],
        rootProfileId: 'root-1',
        hash: 'sha256',
        renewalThresholdPercent: 20,
        request: {
          subject: 'CN=dev',
          subjectAltNames: [{ type: 'dns', value: 'dev.example' }],
          keySpec: { algorithm: 'rsa', bits: 2048 },
          keyStorage: 'useSoftwareKsp',
          keyUsages: ['digitalSignature'],
          extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
          validity: { value: 1, scale: 'years' },
          rootFingerprint: policy.trustedRoots[0]?.fingerprint,
        },
      },
    ])
  })
  await t.test('what failed at the service has failed here', async (t) => {
    t.same(policy.failedProfiles, [failedProfile])
  })
})

await t.test('a profile without a hash has none, and one whose root is not there an empty fingerprint', async (t) => {
  const { hash: _, ...rest } = scep
  const profile = parse({ ...document, scepProfiles: [{ ...rest, rootProfileId: 'elsewhere' }] }).scepProfiles[0]
  t.notOk(profile && 'hash' in profile)
  t.equal(profile?.request.rootFingerprint, '')
})

await t.test('members that are not known are ignored, at the top and in a profile', async (t) => {
  const later = {
    ...document,
    acmeProfiles: [{}],
    scepProfiles: [{ ...scep, colour: 'blue' }],
    trustedRoots: [{ ...root, colour: 'blue' }],
  }
  t.same(parse(later), parse(document))
})

await t.test('PFX profiles', async (t) => {
  const pfx: NonNullable<PolicyDocument['pfxProfiles']>[number] = {
    id: 'mail',
    displayName: 'Mail',
    principal: 'user',
    assignedTo: ['user'],
    rootProfileId: 'root-1',
    renewalThresholdPercent: 20,
    kind: 'imported',
    certificateRevision: 'a1b2',
    keyStorage: 'useSoftwareKsp',
  }
  const having = (...pfxProfiles: unknown[]) => parse({ ...document, pfxProfiles })
  await t.test('none is as good as an empty list', async (t) => {
    t.same(parse(document).pfxProfiles, [])
    t.same(having().pfxProfiles, [])
  })
  await t.test('one names the fingerprint of its root, and its key stays in unless it says otherwise', async (t) => {
    const { kind, certificateRevision, keyStorage, ...rest } = pfx
    const rootFingerprint = parse(document).trustedRoots[0]?.fingerprint
    t.same(having(pfx).pfxProfiles, [{ ...rest, request: { kind, certificateRevision, keyStorage, exportable: false, rootFingerprint } }])
    t.equal(having({ ...pfx, exportable: true }).pfxProfiles[0]?.request.exportable, true)
    t.equal(having({ ...pfx, rootProfileId: 'elsewhere' }).pfxProfiles[0]?.request.rootFingerprint, '')
  })
  for (const [name, change, message] of [
    ['of another kind', { kind: 'p12' }, /pfxProfiles\[0\]\.kind: expected one of/],
    ['without a revision', { certificateRevision: '' }, /pfxProfiles\[0\]\.certificateRevision/],
    ['with a long revision', { certificateRevision: 'x'.repeat(257) }, /pfxProfiles\[0\]\.certificateRevision/],
    ['with a threshold of 0', { renewalThresholdPercent: 0 }, /renewalThresholdPercent/],
    ['with a threshold of 100', { renewalThresholdPercent: 100 }, /renewalThresholdPercent/],
    ['for no known storage', { keyStorage: 'vault' }, /keyStorage/],
    ['that is exportable in words', { exportable: 'yes' }, /exportable/],
  ] as const) {
    await t.test(`one ${name} fails alone`, async (t) => {
      const policy = having({ ...pfx, ...change }, { ...pfx, id: 'other' })
      t.match(
        policy.failedProfiles.find(({ id }) => id === 'mail'),
        { code: 'ERR_PROFILE_INVALID', principal: 'user', message },
      )
      t.same(
        policy.pfxProfiles.map(({ id }) => id),
        ['other'],
      )
      t.equal(policy.scepProfiles.length, 1)
    })
  }
  await t.test('an id that a SCEP profile of the same principal has is used twice', async (t) => {
    const policy = having({ ...pfx, id: scep.id, principal: scep.principal })
    t.match(policy.failedProfiles, [{ id: 'vpn' }, { id: scep.id, message: /scepProfiles\[0\]\.id: .*is also that of pfxProfiles\[0\]/ }])
    t.same([...policy.scepProfiles, ...policy.pfxProfiles], [])
    t.equal(having({ ...pfx, id: scep.id }).pfxProfiles.length, 1, 'of another principal it is not')
  })
  await t.test('one without an id is an error of the document', async (t) => {
    t.throws(() => having({ ...pfx, id: undefined }), { code: 'ERR_POLICY_INVALID', message: /pfxProfiles\[0\]\.id/ })
  })
})

await t.test('an error of the document is ERR_POLICY_INVALID, names the field and what was expected', async (t) => {
  for (const [name, bytes, message] of [
    ['not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), /expected JSON in UTF-8/],
    ['not JSON', Buffer.from('{"secret":'), /^policy document: expected JSON$/],
    ['not an object', encode([]), /expected object/],
    ['another version', encode({ ...document, schemaVersion: 2 }), /schemaVersion: 2 is not supported, expected 1/],
    ['no version', encode({ ...document, schemaVersion: undefined }), /schemaVersion: expected 1/],
    ['a revision below 0', encode({ ...document, revision: -1 }), /revision: expected number to be >=0/],
    ['a lifecycle that nobody knows', encode({ ...document, lifecycle: 'lost' }), /lifecycle: .*expected/],
    ['a revision that is no integer', encode({ ...document, revision: 1.5 }), /revision: expected int/],
    ['a revision beyond 2^53', encode({ ...document, revision: 2 ** 53 }), /revision: expected int/],
    ['another device', encode({ ...document, deviceId: 'device-2' }), /deviceId: expected "device-1"/],
    ['no list of profiles', encode({ ...document, scepProfiles: {} }), /scepProfiles: expected array/],
    ['a profile without an id', encode({ ...document, scepProfiles: [{ ...scep, id: 7 }] }), /scepProfiles\[0\]\.id: expected string/],
    [
      'an id with a control character',
      encode({ ...document, trustedRoots: [{ ...root, id: 'a\nb' }] }),
      /trustedRoots\[0\]\.id: expected 1 to 256/,
    ],
    [
      'a profile of nobody',
      encode({ ...document, scepProfiles: [scep, { ...scep, principal: 'robot' }] }),
      /scepProfiles\[1\]\.principal: expected one of/,
    ],
    ['a profile that is none', encode({ ...document, failedProfiles: [null] }), /failedProfiles\[0\]: expected object/],
  ] as const) {
    await t.test(name, async (t) => {
      t.throws(() => parsePolicy(bytes, 'device-1'), { code: 'ERR_POLICY_INVALID', message })
    })
  }
})

await t.test('an error inside one profile fails that profile and names the field; the others go on', async (t) => {
  const other = { ...scep, id: 'other' }
  for (const [change, message] of [
    [{ displayName: 7 }, /^scepProfiles\[0\]\.displayName: expected string/],
    [{ assignedTo: [] }, /assignedTo: expected array to have >=1/],
    [{ scepUrls: [] }, /scepUrls: expected array to have >=1/],
    [{ scepUrls: ['https://ok.example/', 'ftp://x/'] }, /scepUrls\[1\]: expected an absolute http or https URL/],
    [{ scepUrls: ['https://name:hidden@x/'] }, /scepUrls\[0\]: expected .* without credentials$/],
    [{ hash: 'sha1' }, /hash: expected one of/],
    [{ hash: null }, /hash: expected one of/],
    [{ renewalThresholdPercent: 0 }, /renewalThresholdPercent: expected number to be >=1/],
    [{ renewalThresholdPercent: 100 }, /renewalThresholdPercent: expected number to be <=99/],
    [{ renewalThresholdPercent: 20.5 }, /renewalThresholdPercent: expected int/],
    [{ renewalThresholdPercent: '20' }, /renewalThresholdPercent: expected number/],
    [{ subject: undefined }, /subject: expected string/],
    [{ subjectAltNames: [{ type: 'ip', value: 'x' }] }, /subjectAltNames\[0\]\.type: expected one of/],
    [{ keyBits: 512 }, /keyBits: expected one of 1024\|2048\|3072\|4096/],
    [{ keyStorage: 'anything' }, /keyStorage: expected one of/],
    [{ keyUsages: ['cRLSign'] }, /keyUsages\[0\]: expected one of/],
    [{ extendedKeyUsages: ['1.40.1'] }, /extendedKeyUsages\[0\]: expected a dotted OID/],
    [{ extendedKeyUsages: ['3.1'] }, /extendedKeyUsages\[0\]: expected a dotted OID/],
    [{ extendedKeyUsages: ['1.03'] }, /extendedKeyUsages\[0\]: expected a dotted OID/],
    [{ validity: { value: 0, scale: 'years' } }, /validity\.value: expected number to be >0/],
    [{ validity: { value: 1, scale: 'weeks' } }, /validity\.scale: expected one of/],
  ] as const) {
    await t.test(JSON.stringify(change), async (t) => {
      const policy = parse({ ...document, failedProfiles: [], scepProfiles: [{ ...scep, ...change }, other] })
      t.same(
        policy.scepProfiles.map(({ id }) => id),
        ['other'],
      )
      t.match(policy.failedProfiles, [{ id: 'wifi', principal: 'device', code: 'ERR_PROFILE_INVALID', message }])
      t.notMatch(policy.failedProfiles[0]?.message, /hidden/)
    })
  }
  await t.test('the last accepted values: 1 %, 99 %, every key size', async (t) => {
    const edges = [{ renewalThresholdPercent: 1 }, { renewalThresholdPercent: 99 }, { keyBits: 1024 }, { keyBits: 3072 }, { keyBits: 4096 }]
    for (const edge of edges) t.equal(parse({ ...document, scepProfiles: [{ ...scep, ...edge }] }).scepProfiles.length, 1)
  })
  for (const [name, text, message] of [
    ['not base64', 'not base64!', /certificate: expected base64/],
    ['unpadded', 'AAA', /certificate: expected base64/],
    ['empty', '', /certificate: /],
    ['PEM', '-----BEGIN CERTIFICATE-----', /certificate: expected base64/],
    ['not DER', 'AAAA', /certificate: expected one certificate in DER/],
    ['cut short', Buffer.from(certificate.subarray(0, 100)).toString('base64'), /certificate: expected one certificate in DER/],
    ['with bytes behind it', Buffer.from([...certificate, 0]).toString('base64'), /certificate: expected one certificate in DER/],
  ] as const) {
    await t.test(`a trusted root that is ${name}`, async (t) => {
      const policy = parse({ ...document, failedProfiles: [], trustedRoots: [{ ...root, assignedTo: ['user'], certificate: text }] })
      t.same(policy.trustedRoots, [])
      t.match(policy.failedProfiles, [{ id: 'root-1', principal: 'user', code: 'ERR_PROFILE_INVALID', message }])
      t.equal(policy.scepProfiles[0]?.request.rootFingerprint, '')
    })
  }
  await t.test('a failure that cannot be read is a failure', async (t) => {
    const { failedProfiles } = parse({ ...document, failedProfiles: [{ ...failedProfile, code: 'ERR_OTHER' }] })
    t.match(failedProfiles, [
      { id: 'vpn', principal: 'user', code: 'ERR_PROFILE_INVALID', message: /failedProfiles\[0\]\.code: expected one of/ },
    ])
  })
})

await t.test('an id used twice', async (t) => {
  await t.test('fails both profiles as one, because neither may be chosen', async (t) => {
    const policy = parse({
      ...document,
      failedProfiles: [],
      scepProfiles: [scep, { ...scep, id: 'other' }, { ...scep, subject: 'CN=two' }],
    })
    t.same(
      policy.scepProfiles.map(({ id }) => id),
      ['other'],
    )
    t.match(policy.failedProfiles, [
      { id: 'wifi', message: 'scepProfiles[0].id: expected an id of its own, "wifi" is also that of scepProfiles[2]' },
    ])
  })
  await t.test('is no conflict between a device and its user', async (t) => {
    t.equal(parse({ ...document, scepProfiles: [scep, { ...scep, principal: 'user' }] }).scepProfiles.length, 2)
  })
  await t.test('fails both roots', async (t) => {
    const policy = parse({ ...document, trustedRoots: [root, root] })
    t.same(policy.trustedRoots, [])
    t.equal(policy.scepProfiles[0]?.request.rootFingerprint, '')
  })
  await t.test('a profile that the service failed is not delivered besides', async (t) => {
    const policy = parse({ ...document, failedProfiles: [{ ...failedProfile, id: 'wifi', principal: 'device' }] })
    t.same(policy.scepProfiles, [])
    t.equal(policy.failedProfiles.length, 1)
  })
})

await t.test('ids and members that name members of every object change nothing', async (t) => {
  const text = JSON.stringify({ ...document, scepProfiles: [{ ...scep, id: '__proto__', rootProfileId: 'constructor' }] })
  const policy = parsePolicy(Buffer.from(text.replace('"schemaVersion"', '"__proto__":{"polluted":1},"schemaVersion"')))
  t.equal(policy.scepProfiles[0]?.id, '__proto__')
  t.equal(policy.scepProfiles[0]?.request.rootFingerprint, '')
  t.notOk('polluted' in policy || 'polluted' in {})
  t.throws(() => parsePolicy(Buffer.from(`{"__proto__":${text}}`)), { code: 'ERR_POLICY_INVALID' })
})

await t.test('limits', async (t) => {
  await t.test('8 MiB are read, a byte more is ERR_LIMIT_EXCEEDED', async (t) => {
    const bytes = Buffer.alloc(maxPolicyBytes, ' ')
    bytes.set(encode(document))
    t.equal(parsePolicy(bytes).revision, 3)
    t.throws(() => parsePolicy(Buffer.concat([bytes, Buffer.from(' ')])), { code: 'ERR_LIMIT_EXCEEDED' })
  })
  await t.test('10,000 profiles are read, one more is ERR_LIMIT_EXCEEDED', async (t) => {
    const failures = (count: number) => Array.from({ length: count }, (_, i) => ({ ...failedProfile, id: `p${i}` }))
    const policy = parse({ ...document, failedProfiles: failures(maxPolicyProfiles - 2) })
    t.equal(policy.failedProfiles.length, maxPolicyProfiles - 2)
    t.throws(() => parse({ ...document, failedProfiles: failures(maxPolicyProfiles - 1) }), { code: 'ERR_LIMIT_EXCEEDED' })
  })
  await t.test('brackets count where they stand in no string', async (t) => {
    const nested = (depth: number) => Buffer.from(`{"schemaVersion":1,"x":${'['.repeat(depth)}${']'.repeat(depth)}}`)
    t.throws(() => parsePolicy(nested(63)), { message: /revision/ }, 'read, 64 deep')
    t.throws(() => parsePolicy(nested(64)), { code: 'ERR_POLICY_INVALID', message: /at most 64 deep/ })
    t.throws(
      () => parsePolicy(Buffer.from(`{"schemaVersion":1,"x":"\\"${'['.repeat(100)}"}`)),
      { message: /revision/ },
      'a string may hold them',
    )
  })
  await t.test('a document nested a million deep is refused like any other', async (t) => {
    t.throws(() => parsePolicy(Buffer.from('['.repeat(1e6))), { code: 'ERR_POLICY_INVALID' })
    t.throws(() => parsePolicy(Buffer.from('['.repeat(1e6) + ']'.repeat(1e6))), { code: 'ERR_POLICY_INVALID' })
  })
})

await t.test('whatever comes in, a policy or an AgentError comes out', async () => {
  const paths = [[], ['scepProfiles', 0], ['trustedRoots', 0], ['failedProfiles', 0]] as const
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.nat(20), fc.jsonValue(), (path, member, value) => {
      const changed = structuredClone(document) as unknown as Record<string, unknown>
      const target = path.reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], changed) as Record<string, unknown>
      const names = Object.keys(target)
      target[names[member % names.length] ?? ''] = value
      try {
        parse(changed)
      } catch (error) {
        if (!(error instanceof AgentError)) throw error
      }
    }),
    { numRuns: 500 },
  )
})
