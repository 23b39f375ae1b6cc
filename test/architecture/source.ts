import { posix } from 'node:path'
import { type Node, type Program, parseSync } from 'oxc-parser'

/** One `import` or re-exporting `export`, or one name of it where it has names. */
export interface Import {
  readonly specifier: string
  /** The imported name; `*` for a namespace, `export *`, a side effect, a dynamic import or `new URL('./x.ts', …)`. */
  readonly name: string
  /** The name under which the module exports it again, if it does. */
  readonly exportedAs?: string
  /** Nothing of it is left once types are stripped. */
  readonly typeOnly: boolean
}

export interface SourceModule {
  /** From the root, with forward slashes. */
  readonly file: string
  readonly text: string
  readonly program: Program
  readonly imports: readonly Import[]
}

/** Parses one TypeScript file; a syntax error throws. */
export function readModule(file: string, text: string): SourceModule {
  const { program, errors } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`)
  return { file, text, program, imports: importsOf(program) }
}

/** Calls `visit` on every node with its parent, parents first. */
export function walk(node: Node, visit: (node: Node, parent: Node | undefined) => void, parent?: Node): void {
  visit(node, parent)
  for (const child of Object.values(node).flat()) {
    if (isNode(child)) walk(child, visit, node)
  }
}

/** The line of a node, from 1. */
export function lineOf(module: SourceModule, node: Node): number {
  return module.text.slice(0, node.start).split('\n').length
}

/** Where a relative specifier leads, from the root. */
export function resolveRelative(file: string, specifier: string): string {
  return posix.join(posix.dirname(file), specifier)
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

function importsOf(program: Program): Import[] {
  const imports: Import[] = []
  walk(program, (node) => imports.push(...importsAt(node)))
  return imports
}

function importsAt(node: Node): Import[] {
  switch (node.type) {
    case 'ImportDeclaration':
      return importDeclaration(node)
    case 'ExportNamedDeclaration':
      return node.source === null ? [] : reExports(node, node.source.value)
    case 'ExportAllDeclaration':
      return [{ specifier: node.source.value, name: '*', exportedAs: '*', typeOnly: node.exportKind === 'type' }]
    case 'TSImportType':
      return [{ specifier: node.source.value, name: '*', typeOnly: true }]
    case 'ImportExpression':
      return literalImport(node.source)
    case 'NewExpression':
      return isUrl(node.callee) ? literalImport(node.arguments[0]) : []
    default:
      return []
  }
}

function importDeclaration(node: Node & { type: 'ImportDeclaration' }): Import[] {
  const specifier = node.source.value
  const declaredType = node.importKind === 'type'
  // `import { type A } from` still loads the module: verbatimModuleSyntax leaves `import {} from` behind.
  const loads: Import = { specifier, name: '*', typeOnly: false }
  const names = node.specifiers.map((entry): Import => {
    const named = entry.type === 'ImportSpecifier'
    const typeOnly = declaredType || (named && entry.importKind === 'type')
    return { specifier, name: named ? nameOf(entry.imported) : '*', typeOnly }
  })
  return declaredType || names.some(({ typeOnly }) => !typeOnly) ? names : [...names, loads]
}

function reExports(node: Node & { type: 'ExportNamedDeclaration' }, specifier: string): Import[] {
  return node.specifiers.map((entry) => ({
    specifier,
    name: nameOf(entry.local),
    exportedAs: nameOf(entry.exported),
    typeOnly: node.exportKind === 'type' || entry.exportKind === 'type',
  }))
}

function nameOf(node: Node): string {
  if (node.type === 'Identifier') return node.name
  if (node.type === 'Literal') return String(node.value)
  throw new Error(`a module name of type ${node.type}`)
}

function isUrl(callee: Node): boolean {
  return callee.type === 'Identifier' && callee.name === 'URL'
}

function literalImport(source: Node | undefined): Import[] {
  if (source?.type !== 'Literal' || typeof source.value !== 'string' || !/^\.{1,2}\/.*\.ts$/.test(source.value)) return []
  return [{ specifier: source.value, name: '*', typeOnly: false }]
}
