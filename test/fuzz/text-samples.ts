import type { Sample } from './corpus.ts'

/** What the agent reads that is no DER: subject names, capabilities, the policy document. */
export function textSamples(root: Uint8Array): readonly Sample[] {
  const text = (name: string, kind: Sample['kind'], value: string): Sample => ({ name, kind, bytes: Buffer.from(value), layers: [] })
  return [
    text('plain name', 'distinguishedName', 'CN=device,O=certfleet,C=DE'),
    text('odd name', 'distinguishedName', 'CN="a ""b"", c" ; OU=x+L=y, 2.5.4.5=7, E=a@b.example, O=a\\,b\\\\'),
    text('capabilities', 'capabilities', 'AES\r\nSHA-256\nPOSTPKIOperation\nscepstandard\n'),
    text('policy', 'policy', JSON.stringify(policy(Buffer.from(root).toString('base64')))),
  ]
}

function policy(certificate: string) {
  return {
    schemaVersion: 1,
    revision: 7,
    deviceId: 'device-1',
    trustedRoots: [{ id: 'root', displayName: 'Root', certificate, destinationStore: 'computer-root', assignedTo: ['device'] }],
    scepProfiles: [
      {
        id: 'wifi',
        displayName: 'Wi-Fi',
        principal: 'device',
        assignedTo: ['device'],
        scepUrls: ['http://ndes.example/certsrv/mscep/mscep.dll'],
        rootProfileId: 'root',
        renewalThresholdPercent: 20,
        subject: 'CN=device,O=certfleet',
        subjectAltNames: [{ type: 'dns', value: 'device.example.com' }],
        keyBits: 2048,
        keyStorage: 'useSoftwareKsp',
        keyUsages: ['digitalSignature'],
        extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
        validity: { value: 1, scale: 'years' },
      },
    ],
    failedProfiles: [{ id: 'vpn', displayName: 'VPN', principal: 'user', code: 'ERR_PROFILE_INVALID', message: 'no' }],
  }
}
