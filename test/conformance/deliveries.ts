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
