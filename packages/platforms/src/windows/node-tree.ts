import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import type { SyncMlCommand } from '../rendering/syncml.ts'
import { cspFacts } from './csp-facts.ts'
import { windowsFacts } from './facts.ts'
import { type NodePath, parseNodePath } from './node-path.ts'
import { refuseNode } from './refuse.ts'

/** What the commands leave of one request or certificate. */
export interface NodeTree {
  /** Of the first command. */
  readonly path: NodePath
  /** By leaf, in lower case. */
  readonly leaves: Map<string, Leaf>
  /** Once Enroll was accepted. */
  enrolled?: { readonly atomic: Atomic }
}

interface Leaf {
  readonly data: string
  readonly atomic: Atomic
}

/** The number of an Atomic in the message; undefined outside all. */
type Atomic = number | undefined

interface Step {
  readonly verb: string
  readonly text: string
  readonly data: string
  readonly atomic: Atomic
  readonly where: string
}

/** Carries out the commands of a message on a device that has nothing, as the CSPs would. What they refuse: `ERR_PROFILE_INVALID`. */
export function nodeTrees(commands: readonly SyncMlCommand[], os: Os): { trees: readonly NodeTree[]; skipped: string[] } {
  const trees = new Map<string, NodeTree>()
  const skipped: string[] = []
  for (const step of stepsOf(commands, os)) {
    const path = parseNodePath(step.text)
    const told = path === undefined ? `${step.verb} ${step.text}`.trim() : carryOut(step, path, trees, os)
    if (told !== undefined) skipped.push(told.slice(0, maxToldCharacters))
  }
  return { trees: [...trees.values()], skipped }
}

const maxToldCharacters = 256
const containers: ReadonlySet<string> = new Set(['Atomic', 'Sequence'])
const answers: ReadonlySet<string> = new Set(['Status', 'Final'])
const verbs: ReadonlySet<string> = new Set([
  ...containers,
  ...answers,
  'Add',
  'Replace',
  'Delete',
  'Exec',
  'Get',
  'Alert',
  'Results',
  'Copy',
])

function stepsOf(commands: readonly SyncMlCommand[], os: Os): Step[] {
  let atomics = 0
  const stepsIn = (command: SyncMlCommand, atomic: Atomic): Step[] => {
    refuseMalformed(command, os)
    if (answers.has(command.verb)) return []
    if (command.verb === 'Atomic') refuseInAtomic(command, atomic, os)
    if (command.verb === 'Get') refuseInAtomic(command, atomic, os)
    const inside = command.verb === 'Atomic' ? ++atomics : atomic
    if (containers.has(command.verb)) return command.commands.flatMap((child) => stepsIn(child, inside))
    const items = command.items.length > 0 ? command.items : [{ path: '', data: '' }]
    return items.map(({ path, data }) => ({ verb: command.verb, text: path, data, atomic, where: `line ${command.line}` }))
  }
  return commands.flatMap((command) => stepsIn(command, undefined))
}

function refuseMalformed({ verb, hasId, line }: SyncMlCommand, os: Os): void {
  const { malformed } = cspFacts
  const status = `status ${says(malformed, os)}`
  if (!verbs.has(verb)) refuseNode(malformed, `line ${line}: an element that is no command, which is refused (${status})`)
  if (!hasId && verb !== 'Final' && !containers.has(verb))
    refuseNode(malformed, `line ${line}: ${verb} without a CmdID is refused (${status})`)
}

function refuseInAtomic({ verb, line }: SyncMlCommand, atomic: Atomic, os: Os): void {
  const { atomicCommands } = cspFacts
  if (atomic !== undefined) refuseNode(atomicCommands, `line ${line}: ${verb} in an Atomic is refused (status ${says(atomicCommands, os)})`)
}

/** Gives what is passed over. */
function carryOut(step: Step, path: NodePath, trees: Map<string, NodeTree>, os: Os): string | undefined {
  const key = [path.kind, path.old, path.principal, path.id.toLowerCase()].join('/')
  const tree = trees.get(key)
  if (tree?.enrolled && changes.has(step.verb)) return afterEnroll(step, path, tree.enrolled.atomic)
  switch (step.verb) {
    case 'Add':
    case 'Replace':
      setLeaf(step, path, key, trees, os)
      return undefined
    case 'Exec':
      return enroll(step, path, tree)
    case 'Delete':
      return remove(step, path, key, trees)
    default:
      return `${step.verb} ${step.text}`
  }
}

const changes: ReadonlySet<string> = new Set(['Add', 'Replace', 'Delete', 'Exec'])

function afterEnroll({ verb, text, atomic, where }: Step, { id }: NodePath, enrolledIn: Atomic): string {
  if (atomic !== undefined && atomic === enrolledIn) {
    refuseNode(cspFacts.enrollLast, `${where}: ${verb} follows Enroll of "${id}", which must be the last command of the Atomic`)
  }
  return `${verb} ${text}: after Enroll (${cspFacts.snapshot.id})`
}

function setLeaf({ verb, data, atomic, where }: Step, path: NodePath, key: string, trees: Map<string, NodeTree>, os: Os): void {
  const tree = trees.get(key) ?? { path, leaves: new Map<string, Leaf>() }
  const there = tree.leaves.get(path.leaf)
  const node = `${where}: ${verb} of ${path.leaf || path.id}`
  if (verb === 'Add' && there) refuseNode(cspFacts.existing, `${node}, which exists, is refused (status ${says(cspFacts.existing, os)})`)
  if (verb === 'Replace') refuseReplace(node, path, there, atomic, os)
  trees.set(key, tree)
  tree.leaves.set(path.leaf, { data, atomic })
}

function refuseReplace(node: string, { old, leaf }: NodePath, there: Leaf | undefined, atomic: Atomic, os: Os): void {
  const { atomicCommands, replaceMissing } = cspFacts
  if (there && atomic !== undefined && there.atomic === atomic) {
    refuseNode(atomicCommands, `${node}, added in the same Atomic, is refused (status ${says(atomicCommands, os)})`)
  }
  if (there) return
  if (old) refuseNode(replaceMissing, `${node}, which does not exist, is refused (status ${says(replaceMissing, os)})`)
  if (leaf === 'pfxcertblob') refuseNode(windowsFacts.pfxReplace, `${node}, which does not exist, fails`)
}

function enroll({ verb, text, atomic }: Step, { kind, leaf }: NodePath, tree: NodeTree | undefined): string | undefined {
  if (kind !== 'scep' || leaf !== 'install/enroll' || tree === undefined) return `${verb} ${text}`
  tree.enrolled = { atomic }
  return undefined
}

function remove({ verb, text }: Step, { leaf }: NodePath, key: string, trees: Map<string, NodeTree>): string | undefined {
  const removed = leaf === '' ? trees.delete(key) : trees.get(key)?.leaves.delete(leaf)
  return removed ? undefined : `${verb} ${text}`
}
