import type { PolicyDocument } from '@certfleet/agent-core'

/** One trusted root and one SCEP profile at the lab, for a device. */
export function policyDocument(deviceId: string, root: Uint8Array): PolicyDocument {
  return {
    schemaVersion: 1,
    revision: 1,
    deviceId,
    trustedRoots: [
      {
        id: 'root',
        displayName: 'Root',
        certificate: Buffer.from(root).toString('base64'),
        destinationStore: 'computer-root',
        assignedTo: ['device'],
      },
    ],
    scepProfiles: [
      {
        id: 'wifi',
        displayName: 'Wi-Fi',
        principal: 'device',
        assignedTo: ['device'],
        scepUrls: ['http://lab.example/certsrv/mscep/mscep.dll'],
        rootProfileId: 'root',
        renewalThresholdPercent: 20,
        subject: `CN=${deviceId},O=Lab`,
        subjectAltNames: [{ type: 'dns', value: `${deviceId}.lab.example` }],
        keyBits: 2048,
        keyStorage: 'useSoftwareKsp',
        keyUsages: ['digitalSignature', 'keyEncipherment'],
        extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
        validity: { value: 100, scale: 'days' },
      },
    ],
    failedProfiles: [],
  }
}
