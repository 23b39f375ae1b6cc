import { AgentError } from '@certfleet/agent-core'
import { childOf, isXmlText, readXml, type XmlElement, type XmlMarkup, xmlElement } from './xml.ts'

/** `application/vnd.syncml.dm+xml`, as devices and servers name it. */
export const syncMlMediaType = 'application/vnd.syncml.dm+xml'
export const syncMlExtension = '.syncml.xml'

/** A command as it stands in a message. */
export interface SyncMlCommand {
  /** `Add`, `Atomic`, `Status`: whatever the element is called. */
  readonly verb: string
  readonly hasId: boolean
  readonly items: readonly SyncMlItem[]
  /** Of an `Atomic` or a `Sequence`. */
  readonly commands: readonly SyncMlCommand[]
  readonly line: number
}

export interface SyncMlItem {
  /** `Target/LocURI`, without space around it. */
  readonly path: string
  readonly data: string
}

export interface SyncMlMessage {
  /** Whom the header addresses. Absent without one. */
  readonly deviceId?: string
  readonly commands: readonly SyncMlCommand[]
}

const containers: ReadonlySet<string> = new Set(['Atomic', 'Sequence'])
const notCommands: ReadonlySet<string> = new Set(['CmdID', 'Meta', 'Item', 'NoResp', 'Cred', 'Lang', 'Data'])

/** Reads a SyncML 1.1 or 1.2 message, its header or namespace left out or not. As `readXml`, and for another root: `ERR_PROFILE_INVALID`. */
export function readSyncMlMessage(text: string): SyncMlMessage {
  const root = readXml(text)
  const body = childOf(root, 'SyncBody')
  if (root.name !== 'SyncML' || !/^(|SYNCML:SYNCML1\.[12])$/i.test(root.namespace) || body === undefined) {
    throw new AgentError('ERR_PROFILE_INVALID', `the file is no SyncML: expected SyncML with a SyncBody at line ${root.line}`)
  }
  const deviceId = locUriOf(childOf(root, 'SyncHdr'))
  return { ...(deviceId !== undefined && { deviceId }), commands: body.children.map(readCommand) }
}

function readCommand(element: XmlElement): SyncMlCommand {
  const inside = containers.has(element.name) ? element.children.filter(({ name }) => !notCommands.has(name)) : []
  return {
    verb: element.name,
    hasId: (childOf(element, 'CmdID')?.text.trim() ?? '') !== '',
    items: element.children.filter(({ name }) => name === 'Item').map(readItem),
    commands: inside.map(readCommand),
    line: element.line,
  }
}

function readItem(item: XmlElement): SyncMlItem {
  return { path: locUriOf(item) ?? '', data: childOf(item, 'Data')?.text ?? '' }
}

function locUriOf(element: XmlElement | undefined): string | undefined {
  return childOf(childOf(element, 'Target'), 'LocURI')?.text.trim()
}

/** What is done to one node. */
export interface NodeCommand {
  readonly verb: 'Add' | 'Exec'
  readonly path: string
  /** `chr`, `int`, `node`: absent, nothing is said of it. */
  readonly format?: string
  /** MIME type. */
  readonly type?: string
  readonly data?: string
}

/** Writes a message from a server to a device, one command a line; a list of commands becomes one Atomic. */
export function writeSyncMlMessage(deviceId: string, batches: readonly (NodeCommand | readonly NodeCommand[])[]): string {
  let lastId = 0
  const identified = (verb: string, content: readonly XmlMarkup[]) => xmlElement(verb, [xmlElement('CmdID', String(++lastId)), ...content])
  const single = (command: NodeCommand) => identified(command.verb, [itemOf(command)])
  const commands = batches.map((batch) => {
    if (!isList(batch)) return single(batch)
    const id = xmlElement('CmdID', String(++lastId))
    return xmlElement('Atomic', [id, ...batch.flatMap((command) => [lineEnd, single(command)]), lineEnd])
  })
  const body = xmlElement('SyncBody', [...commands.flatMap((command) => [lineEnd, command]), lineEnd, xmlElement('Final')])
  const message = xmlElement('SyncML', [headerFor(deviceId), lineEnd, body], { xmlns: 'SYNCML:SYNCML1.2' })
  return `<?xml version="1.0" encoding="utf-8"?>\n${message.markup}\n`
}

const lineEnd: XmlMarkup = { markup: '\n' }

function isList(batch: NodeCommand | readonly NodeCommand[]): batch is readonly NodeCommand[] {
  return Array.isArray(batch)
}

/** The server's own address is not known here and means nothing in a file. */
function headerFor(deviceId: string): XmlMarkup {
  const numbers = { VerDTD: '1.2', VerProto: 'DM/1.2', SessionID: '1', MsgID: '1' }
  return xmlElement('SyncHdr', [
    ...Object.entries(numbers).map(([name, value]) => xmlElement(name, value)),
    xmlElement('Target', [xmlElement('LocURI', deviceId)]),
    xmlElement('Source', [xmlElement('LocURI', 'certfleet')]),
  ])
}

function itemOf({ path, format, type, data }: NodeCommand): XmlMarkup {
  if (!isXmlText(path + (data ?? ''))) {
    throw new AgentError('ERR_PROFILE_INVALID', `the value of ${JSON.stringify(path)} holds a character that XML cannot carry`)
  }
  const meta = Object.entries({ Format: format, Type: type }).flatMap(([name, value]) =>
    value === undefined ? [] : [xmlElement(name, value, { xmlns: 'syncml:metinf' })],
  )
  return xmlElement('Item', [
    xmlElement('Target', [xmlElement('LocURI', path)]),
    ...(meta.length > 0 ? [xmlElement('Meta', meta)] : []),
    ...(data !== undefined ? [xmlElement('Data', data)] : []),
  ])
}
