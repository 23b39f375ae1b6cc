const item = (path: string, data: string): string =>
  `<Add><CmdID>1</CmdID><Item><Target><LocURI>${path}</LocURI></Target><Data>${data}</Data></Item></Add>`

const message = (commands: string): string => `<SyncML><SyncBody>${commands}<Final/></SyncBody></SyncML>`

const nodes = {
  ServerURL: 'https://somebody.else/scep',
  Challenge: 'b3RoZXI=',
  SubjectName: 'CN=somebody else',
  KeyUsage: '160',
  KeyLength: '4096',
  HashAlgorithm: 'SHA-1',
  EKUMapping: '1.3.6.1.5.5.7.3.1',
  CAThumbprint: '00'.repeat(20),
}
const path = './Device/Vendor/MSFT/ClientCertificateInstall/SCEP/somebody/Install'
const enroll = `<Exec><CmdID>1</CmdID><Item><Target><LocURI>${path}/Enroll</LocURI></Target></Item></Exec>`

/** What Windows takes, and no check is about. */
export const otherMessage = message(
  `<Atomic><CmdID>1</CmdID>${Object.entries(nodes)
    .map(([name, value]) => item(`${path}/${name}`, value))
    .join('')}${enroll}</Atomic>`,
)

/** What the agent on Android takes, and no check is about. */
export const otherAndroidMessage = message(
  item(
    './Vendor/MSFT/CertificateStore/Enroll/somebody/Install',
    '&lt;CertificateRequest&gt;&lt;ConfigurationParametersDocument&gt;&amp;lt;ConfigurationParameters/&amp;gt;&lt;/ConfigurationParametersDocument&gt;' +
      '&lt;RequestParameters&gt;&lt;SubjectName&gt;CN=somebody else&lt;/SubjectName&gt;&lt;NDESUrl&gt;https://somebody.else&lt;/NDESUrl&gt;' +
      '&lt;/RequestParameters&gt;&lt;/CertificateRequest&gt;',
  ),
)

const dict = (values: Readonly<Record<string, string>>): string =>
  `<dict>${Object.entries(values)
    .map(([key, value]) => `<key>${key}</key>${value}`)
    .join('')}</dict>`

const string = (text: string): string => `<string>${text}</string>`

const payload = (type: string, content: string): string =>
  dict({
    PayloadType: string(type),
    PayloadIdentifier: string(`other.${type}`),
    PayloadUUID: string(`OTHER-${type}`),
    PayloadVersion: '<integer>1</integer>',
    PayloadContent: content,
  })

/** What Apple systems take, and no check is about. */
export const otherProfile = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0">${payload(
  'Configuration',
  `<array>${payload('com.apple.security.scep', dict({ URL: string('https://somebody.else') }))}</array>`,
)}</plist>
`
