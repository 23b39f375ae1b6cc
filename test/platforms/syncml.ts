import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AgentError } from '@certfleet/agent-core'
import type { Delivery, RootDelivery, ScepDelivery } from '@certfleet/platforms'
import { root as folder } from '../tooling/root.ts'

const samples = process.env.CERTFLEET_SAMPLES ?? join(folder, '../shared/samples')

/** A published message, which is not kept here. */
export function sample(name: string): { text: string; missing: string | false } {
  const file = join(samples, 'syncml', name)
  if (!existsSync(file)) return { text: '', missing: `no sample: set CERTFLEET_SAMPLES to a folder that holds syncml/${name}` }
  return { text: readFileSync(file, 'utf8'), missing: false }
}

/** No certificate: nothing here reads one. */
export const rootDer = Buffer.from('3003020101', 'hex')
export const rootSha1 = createHash('sha1').update(rootDer).digest('hex')

export const root: RootDelivery = { id: 'root', displayName: 'Root', certificate: rootDer, destinationStore: 'computer-root' }

export const wifi: ScepDelivery = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  urls: ['https://a.example/scep', 'https://b.example/scep?x=1&y=2'],
  challenge: 'p<a>&s',
  subject: 'CN="ada, the first",O=Example',
  subjectAltNames: [
    { type: 'upn', value: 'ada+wifi@contoso.example' },
    { type: 'email', value: 'ada@contoso.example' },
    { type: 'dns', value: 'ada.example' },
    { type: 'uri', value: 'urn:ada' },
  ],
  keyBits: 2048,
  keyUsages: ['digitalSignature', 'keyEncipherment'],
  keyStorage: 'useTpmKspOtherwiseUseSoftwareKsp',
  extendedKeyUsages: ['1.3.6.1.5.5.7.3.2', '1.3.6.1.4.1.311.10.3.4'],
  validity: { value: 2, scale: 'years' },
  hashes: ['sha1', 'sha256'],
  renewalThresholdPercent: 20,
  retries: { count: 3, delayMs: 60_000 },
  rootThumbprint: rootSha1,
  rootId: 'root',
}

export const delivery: Delivery = {
  deviceId: 'device-1',
  roots: [root],
  scep: [wifi],
  pfx: [
    {
      ...{ id: 'mail', displayName: 'Mail', principal: 'user', pfx: Buffer.from('0102', 'hex'), password: ' p&w ' },
      ...{ keyStorage: 'useSoftwareKsp', exportable: true },
    } as const,
  ],
}

/** Code and words of a refusal; anything but an `AgentError` is thrown on. */
export function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof AgentError) return `${error.code}: ${error.message}`
    throw error
  }
  return 'accepted'
}

export const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const item = (path: string, data?: string): string =>
  `<Item><Target><LocURI>${path}</LocURI></Target>${data === undefined ? '' : `<Data>${escaped(data)}</Data>`}</Item>`

export const command = (verb: string, path: string, data?: string): string => `<${verb}><CmdID>1</CmdID>${item(path, data)}</${verb}>`

export const add = (path: string, data?: string): string => command('Add', path, data)

export const atomic = (...commands: readonly string[]): string => `<Atomic><CmdID>1</CmdID>${commands.join('')}</Atomic>`

export const message = (...commands: readonly string[]): string =>
  `<SyncML xmlns="SYNCML:SYNCML1.2"><SyncBody>${commands.join('')}<Final/></SyncBody></SyncML>`
