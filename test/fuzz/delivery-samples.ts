import { type Delivery, renderFor } from '@certfleet/platforms'
import type { Layer, Sample } from './corpus.ts'
import { signedAttributes, signedData } from './messages.ts'
import type { World } from './world.ts'

const delivery = ({ root }: World): Delivery => ({
  deviceId: 'device-1',
  roots: [{ id: 'root', displayName: 'Root', certificate: root.certificate.raw, destinationStore: 'computer-root' }],
  scep: [
    {
      ...{ id: 'wifi', displayName: 'Wi-Fi', principal: 'device', urls: ['https://ndes.example/scep'], challenge: 'fuzz challenge' },
      ...{ subject: 'CN=device,O=certfleet', subjectAltNames: [{ type: 'dns', value: 'device.example.com' }], keyBits: 2048 },
      ...{ keyUsages: ['digitalSignature', 'keyEncipherment'], extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'], hashes: ['sha256'] },
      ...{ validity: { value: 1, scale: 'years' }, retries: { count: 3, delayMs: 60_000 }, rootThumbprint: 'ab'.repeat(20) },
    } as const,
  ],
  pfx: [
    { id: 'mail', displayName: 'Mail', principal: 'device', pfx: Uint8Array.of(0x30, 0), password: 'fuzz', keyStorage: 'useSoftwareKsp' },
  ],
})

/** One delivery in each OS's own form, and as a profile that is signed. */
export function deliverySamples(world: World): readonly Sample[] {
  const given = delivery(world)
  const rendered = (platform: 'ios' | 'android' | 'windows', version: string) => Buffer.from(renderFor(platform, version, given).text)
  const [profile, android] = [rendered('ios', '18'), rendered('android', '15')]
  const sample = (name: string, bytes: Uint8Array, layers: readonly Layer[] = []): Sample => ({ name, kind: 'delivery', bytes, layers })
  const sign = (content: Uint8Array) => signedData(content, signedAttributes(content), world.ra)
  return [
    sample('profile', profile),
    sample('signed profile', sign(profile), [{ name: 'profile', bytes: profile, seal: sign }]),
    sample('SyncML for Windows', rendered('windows', '11')),
    sample('SyncML for Android', android, [requestLayer(android.toString())]),
  ]
}

/** The XML in the text of a node. */
function requestLayer(message: string): Layer {
  const [, before = '', inside = '', after = ''] = /^(.*<Data>)(&lt;.*?)(<\/Data>.*)$/s.exec(message) ?? []
  const bytes = Buffer.from(inside.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&'))
  const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
  return { name: 'request', bytes, seal: (mutant) => Buffer.from(before + escaped(Buffer.from(mutant).toString()) + after) }
}
