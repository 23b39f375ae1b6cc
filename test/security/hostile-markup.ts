import { type Delivery, type PlatformName, renderFor } from '@certfleet/platforms'
import { delivery, root } from '../platforms/syncml.ts'

const entities = Array.from({ length: 20 }, (_, i) => `<!ENTITY e${i + 1} "${`&e${i};`.repeat(10)}">`).join('')
/** What is read at most, and a little less. */
const full = 512 * 1024
const most = full - 200

/** Documents that cost a careless reader time or memory. */
const documents: readonly (readonly [name: string, text: string])[] = [
  ['an entity bomb', `<!DOCTYPE plist [<!ENTITY e0 "e">${entities}]><plist><dict><key>&e20;</key></dict></plist>`],
  ['an entity bomb in SyncML', `<!DOCTYPE SyncML [<!ENTITY e0 "e">${entities}]><SyncML ><SyncBody>&e20;</SyncBody></SyncML>`],
  ['an outside entity', '<!DOCTYPE plist [<!ENTITY e SYSTEM "file:///etc/hostname">]><plist><string>&e;</string></plist>'],
  ['512 KiB of <', '<'.repeat(full)],
  ['512 KiB of <!', '<!'.repeat(full / 2)],
  ['512 KiB of <a>', '<a>'.repeat(full / 4)],
  ['512 KiB of <plist', '<plist '.repeat(full / 8)],
  ['512 KiB of <SyncML', '<SyncML '.repeat(full / 8)],
  ['100,000 elements', `<SyncML >${'<a/>'.repeat(100_000)}</SyncML>`],
  ['100,000 attributes', `<SyncML ${Array.from({ length: 100_000 }, (_, i) => `a${i}=""`).join(' ')}/>`],
  ['10,000 namespaces', `<SyncML ${Array.from({ length: 10_000 }, (_, i) => `xmlns:a${i}="u"`).join(' ')}/>`],
  ['a name of 512 KiB', `<SyncML ><${'a'.repeat(most)}/></SyncML>`],
  ['a comment', `<plist><!--${' -'.repeat(most / 2)}--></plist>`],
  ['comments', `<plist>${'<!---->'.repeat(most / 7)}</plist>`],
  ['a DOCTYPE of 512 KiB', `<!DOCTYPE plist${' '.repeat(most)}><plist/>`],
  ['line ends', `<plist><dict><key>a</key><string>${'\r'.repeat(most)}</string></dict></plist>`],
  ['references', `<plist><dict><key>a</key><string>${'&lt;'.repeat(most / 4)}</string></dict></plist>`],
  ['references in an attribute', `<plist version="${'&lt;'.repeat(most / 4)}"/>`],
  ['a dictionary of one key', `<plist><dict>${'<key>a</key><true/>'.repeat(4_900)}</dict></plist>`],
  [
    'a dictionary of 4,900 keys',
    `<plist><dict>${Array.from({ length: 4_900 }, (_, i) => `<key>${i}</key><true/>`).join('')}</dict></plist>`,
  ],
  ['12,000 commands', `<SyncML ><SyncBody>${'<Get/>'.repeat(12_000)}</SyncBody></SyncML>`],
  ['49,000 commands', `<SyncML ><SyncBody>${'<a/>'.repeat(49_000)}</SyncBody></SyncML>`],
  ['CDATA', `<SyncML ><SyncBody><![CDATA[${']]'.repeat(most / 2)}]]></SyncBody></SyncML>`],
  ['line ends in SyncML', `<SyncML ><SyncBody>${'\r'.repeat(most)}</SyncBody></SyncML>`],
  ['one character too many', `<SyncML ><SyncBody>${'a'.repeat(full)}</SyncBody></SyncML>`],
  ['16 MiB', `<SyncML ><SyncBody>${'a'.repeat(1 << 24)}</SyncBody></SyncML>`],
]

/** The same of a value, wherever it stands. */
const values: readonly (readonly [name: string, value: string])[] = [
  ['32 KiB of spaces and a letter', `${' '.repeat(32_768)}a`],
  ['32 KiB of digits', '1'.repeat(32_768)],
  ['32 KiB of separators', ';+'.repeat(16_384)],
  ['8,000 names', '2+a;'.repeat(8_000)],
  ['8,000 RDNs', 'CN=a,'.repeat(8_000)],
  ['16,000 steps of a path', '/a'.repeat(16_000)],
  ['32 KiB of percent signs', '%41'.repeat(11_000)],
  ['1,000 elements deep, escaped', '&lt;a&gt;'.repeat(1_000)],
]

const systems: Readonly<Record<Exclude<PlatformName, 'macos'>, string>> = { ios: '18', android: '15', windows: '11' }

/** Each of them, and every other value in each place of a good file of each form, with that certificate in it. */
export function hostileMarkup(certificate: Uint8Array): readonly (readonly [name: string, text: string])[] {
  const { scep, ...others } = delivery
  const good = { ...others, scep: scep.map(({ rootThumbprint: _, ...rest }) => rest), roots: [{ ...root, certificate }] }
  const files = Object.entries(systems).flatMap(([platform, version]) => inEachPlace(platform as PlatformName, version, good))
  return [...documents, ...files]
}

function inEachPlace(platform: PlatformName, version: string, delivery: Delivery): (readonly [name: string, text: string])[] {
  const { text } = renderFor(platform, version, delivery)
  const isUnread = (index: number) => /<(?:key|CmdID|Format|Type)[^<]*>$/.test(text.slice(index - 60, index))
  const places = [...text.matchAll(/(?<=(?:>|gt;))[^<>&\s][^<>&]*/g)].filter(({ index }) => !isUnread(index))
  return places.flatMap(({ 0: old, index }, place) =>
    values
      .filter((_, i) => (i + place) % 2 === 0)
      .map(([name, value]): [string, string] => [
        `${name} for ${old.slice(0, 40)}, ${platform}`,
        text.slice(0, index) + value + text.slice(index + old.length),
      ]),
  )
}
