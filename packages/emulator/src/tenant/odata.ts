/** What an `@odata.context` tells of the objects that it stands over (OData JSON Format 4.01, section 4.6.1; context URLs of OData 4.01 part 1, 10). */
export interface ODataContext {
  /** The type that the objects need not name, without `microsoft.graph.`. */
  readonly typeName?: string
  /** Of an answer that was reached through one profile. */
  readonly through?: { readonly profileId: string; readonly typeName?: string; readonly navigation: string }
}

const ofProfile = /\bdeviceConfigurations\('([^']+)'\)\/(?:microsoft\.graph\.(\w+)\/)?(\w+)$/i

export function readContext(context: unknown): ODataContext {
  if (typeof context !== 'string') return {}
  const path = withoutSelection(fragmentOf(context).replace(/\/\$entity$/, ''))
  const typeName = /(?:^|\/)microsoft\.graph\.(\w+)$/i.exec(path)?.[1]
  const [, profileId, through, navigation] = ofProfile.exec(path) ?? []
  return {
    ...(typeName === undefined ? {} : { typeName }),
    ...(profileId === undefined || navigation === undefined
      ? {}
      : { through: { profileId, navigation, ...(through === undefined ? {} : { typeName: through }) } }),
  }
}

function fragmentOf(context: string): string {
  const fragment = context.slice(context.indexOf('#') + 1)
  try {
    return decodeURIComponent(fragment)
  } catch {
    return fragment
  }
}

/** `…(id,displayName)` selects; `…('id')` is a key. */
function withoutSelection(path: string): string {
  const selection = /\((?!')/.exec(path)
  return selection ? path.slice(0, selection.index) : path
}
