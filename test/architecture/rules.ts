import type { Node } from 'oxc-parser'
import { lineOf, resolveRelative, type SourceModule, walk } from './source.ts'

/** What a rule found, one line a finding: where, and what is wrong there. An empty list is a pass. */
export type Findings = readonly string[]

/** The source files that a package offers, by the specifier that reaches them: `@certfleet/agent-core/der` and so on. */
export type EntryPoints = ReadonlyMap<string, string>

interface Edge {
  readonly from: string
  /** The file in which the imported name is declared, or the specifier of a package that is not ours. */
  readonly to: string
  readonly typeOnly: boolean
}

const packageOf = (file: string): string => file.split('/')[1] ?? ''

/** emulator → platforms → agent-core, each through its entry points. */
export function packageArrows(modules: readonly SourceModule[]): Findings {
  const allowed: Record<string, readonly string[]> = {
    'agent-core': [],
    platforms: ['agent-core'],
    emulator: ['agent-core', 'platforms'],
  }
  return modules.flatMap(({ file, imports }) =>
    imports.flatMap(({ specifier }) => {
      const target = /^@certfleet\/([^/]+)/.exec(specifier)?.[1]
      const outside = specifier.startsWith('.') && packageOf(resolveRelative(file, specifier)) !== packageOf(file)
      const against = target !== undefined && !allowed[packageOf(file)]?.includes(target)
      return outside || against ? [`${file} imports ${specifier}`] : []
    }),
  )
}

/** plan/ takes nothing but types from outside itself. */
export function planImportsTypesOnly(modules: readonly SourceModule[]): Findings {
  const plan = 'packages/agent-core/src/plan/'
  const edges = modules.filter(({ file }) => file.startsWith(plan)).flatMap(directEdges)
  return edges.filter(({ to, typeOnly }) => !typeOnly && !to.startsWith(plan)).map(sentence)
}

/** The lab is the other side: it shares codecs with the agent, and no decision. */
export function labKnowsNoAgent(modules: readonly SourceModule[], entryPoints: EntryPoints): Findings {
  const forbidden = /^packages\/agent-core\/src\/(reconcile|agent|observe|plan\/|scep\/protocol)/
  const lab = modules.filter(({ file }) => file.startsWith('packages/emulator/src/lab/'))
  return lab
    .flatMap((module) => declaredEdges(module, modules, entryPoints))
    .filter(({ to }) => forbidden.test(to))
    .map(sentence)
}

/** ios/, macos/, android/ and windows/ never import each other; what Apple's two share lives in apple/. */
export function platformsApart(modules: readonly SourceModule[]): Findings {
  const platform = (file: string): string | undefined => /^packages\/platforms\/src\/(ios|macos|android|windows)(?=[/.])/.exec(file)?.[1]
  const shared = (file: string): boolean => file.startsWith('packages/platforms/src/apple/')
  return modules
    .flatMap(directEdges)
    .filter(
      ({ from, to }) => platform(to) !== undefined && (shared(from) || (platform(from) !== undefined && platform(from) !== platform(to))),
    )
    .map(sentence)
}

const mayReadFiles = /^packages\/agent-core\/src\/(state\/|policy\/[^/]*cache[^/]*\.ts$)/

/** Files are touched where state and the last good policy are kept, and nowhere else in the core; the host's OS is no input. */
export function coreReadsNoHost(modules: readonly SourceModule[]): Findings {
  const core = modules.filter(({ file }) => file.startsWith('packages/agent-core/src/'))
  const files = core
    .filter(({ file }) => !mayReadFiles.test(file))
    .flatMap(directEdges)
    .filter(({ to, typeOnly }) => !typeOnly && /^(node:)?fs(\/|$)/.test(to))
  const host = core.flatMap((module) =>
    find(module, (node) => (isMember(node, 'process', 'platform') ? 'reads process.platform' : undefined)),
  )
  return [...files.map(sentence), ...host]
}

/** The core compares no platform's name: facts and adapters carry the difference. */
export function coreNamesNoPlatform(modules: readonly SourceModule[]): Findings {
  const names = new Set(['ios', 'macos', 'android', 'windows'])
  const core = modules.filter(({ file }) => file.startsWith('packages/agent-core/src/'))
  return core.flatMap((module) =>
    find(module, (node) =>
      node.type === 'Literal' && typeof node.value === 'string' && names.has(node.value) ? `names the platform ${node.value}` : undefined,
    ),
  )
}

const clockFile = 'packages/agent-core/src/system.ts'
const bannedMembers = [
  ['Date', 'now'],
  ['performance', 'now'],
  ['Math', 'random'],
  ['AbortSignal', 'timeout'],
] as const
const bannedNames = new Set(['setTimeout', 'setInterval', 'fetch'])
const bannedModules = /^(node:)?(timers|perf_hooks)(\/|$)/

/** Time, chance and the network come through ports; system.ts alone makes them from the host's. */
export function hostClockOnlyInSystem(modules: readonly SourceModule[]): Findings {
  const others = modules.filter(({ file }) => file !== clockFile)
  const timers = others.flatMap(directEdges).filter(({ to, typeOnly }) => !typeOnly && bannedModules.test(to))
  return [...timers.map(sentence), ...others.flatMap((module) => find(module, (node, parent) => bannedUse(node, parent, module)))]
}

function bannedUse(node: Node, parent: Node | undefined, module: SourceModule): string | undefined {
  const member = bannedMembers.find(([object, property]) => isMember(node, object, property))
  if (member) return `uses ${member.join('.')}`
  if ((node.type === 'NewExpression' && node.arguments.length === 0) || node.type === 'CallExpression') {
    if (node.callee.type === 'Identifier' && node.callee.name === 'Date') return 'reads the time with Date'
  }
  if (node.type === 'MemberExpression' && isIdentifier(node.object, 'globalThis') && node.property.type === 'Identifier') {
    return bannedNames.has(node.property.name) ? `uses ${node.property.name}` : undefined
  }
  if (node.type !== 'Identifier' || !bannedNames.has(node.name) || isLabel(node, parent)) return undefined
  return module.imports.some(({ name }) => name === node.name) ? undefined : `uses ${node.name}`
}

/** Every file is reached from an entry point of its package. */
export function noDeadFiles(modules: readonly SourceModule[], entryFiles: readonly string[]): Findings {
  const byFile = new Map(modules.map((module) => [module.file, module]))
  const reached = new Set<string>()
  const visit = (file: string): void => {
    const module = byFile.get(file)
    if (reached.has(file) || !module) return
    reached.add(file)
    for (const { to } of directEdges(module)) visit(to)
  }
  entryFiles.forEach(visit)
  return modules.filter(({ file }) => !reached.has(file)).map(({ file }) => `${file} is reached from no entry point`)
}

/** `longer` holds the files that may be longer than the limit, with the lines they may have and the reason. */
export function noLongFiles(
  modules: readonly SourceModule[],
  limit: number,
  longer: ReadonlyMap<string, { lines: number; reason: string }>,
): Findings {
  return modules.flatMap(({ file, text }) => {
    const lines = text.split('\n').length - 1
    const allowed = longer.get(file)?.lines ?? limit
    return lines > allowed ? [`${file} has ${lines} lines, ${allowed} at most`] : []
  })
}

/** Paths of the machine it was written on, and hosts that packages were fetched from. */
export function noMachineTraces(file: string, text: string): Findings {
  const trace = /(?<![\w.~*/-])\/(work|farm|root|home)\/\w|\/tmp\/bash_|"resolved":[ ]"http|registry[.]npmjs|deb[.]debian/
  return text.split('\n').flatMap((line, i) => (trace.test(line) ? [`${file}:${i + 1} ${trace.exec(line)?.[0]}`] : []))
}

function directEdges({ file, imports }: SourceModule): Edge[] {
  return imports.map(({ specifier, typeOnly }) => ({
    from: file,
    to: specifier.startsWith('.') ? resolveRelative(file, specifier) : specifier,
    typeOnly,
  }))
}

/** Edges to the files that declare what is imported, seen through the re-exports of entry points. */
function declaredEdges(module: SourceModule, modules: readonly SourceModule[], entryPoints: EntryPoints): Edge[] {
  const byFile = new Map(modules.map((candidate) => [candidate.file, candidate]))
  return module.imports.flatMap(({ specifier, name, typeOnly }) => {
    const target = specifier.startsWith('.') ? resolveRelative(module.file, specifier) : (entryPoints.get(specifier) ?? specifier)
    return declarations(target, name, byFile).map((to) => ({ from: module.file, to, typeOnly }))
  })
}

/** A namespace import reaches everything that the module exports again. */
function declarations(file: string, name: string, byFile: ReadonlyMap<string, SourceModule>): string[] {
  const again = (byFile.get(file)?.imports ?? []).filter(
    ({ exportedAs }) => exportedAs !== undefined && (name === '*' || exportedAs === name || exportedAs === '*'),
  )
  const behind = again.flatMap((entry) =>
    declarations(resolveRelative(file, entry.specifier), entry.exportedAs === '*' ? name : entry.name, byFile),
  )
  return [file, ...behind]
}

function sentence({ from, to, typeOnly }: Edge): string {
  return `${from} imports ${typeOnly ? 'types from ' : ''}${to}`
}

function find(module: SourceModule, judge: (node: Node, parent: Node | undefined) => string | undefined): string[] {
  const findings: string[] = []
  walk(module.program, (node, parent) => {
    const finding = judge(node, parent)
    if (finding !== undefined) findings.push(`${module.file}:${lineOf(module, node)} ${finding}`)
  })
  return findings
}

function isMember(node: Node, object: string, property: string): boolean {
  if (node.type !== 'MemberExpression' || !isIdentifier(node.property, property)) return false
  return isIdentifier(node.object, object) || (node.object.type === 'MemberExpression' && isMember(node.object, 'globalThis', object))
}

function isIdentifier(node: Node, name: string): boolean {
  return node.type === 'Identifier' && node.name === name
}

/** A name that names a member, not a variable. */
function isLabel(node: Node, parent: Node | undefined): boolean {
  if (parent === undefined) return false
  if (parent.type === 'MemberExpression') return parent.property === node && !parent.computed
  if ('key' in parent) return parent.key === node && !('shorthand' in parent && parent.shorthand)
  return parent.type === 'ImportSpecifier' || parent.type === 'ExportSpecifier'
}
