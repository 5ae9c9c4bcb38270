import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DOCUMENTS, type DocumentName, documentPage } from '../../src/protocol/describe/documents.ts';

const folder = process.argv[2] ?? 'docs/api';
mkdirSync(folder, { recursive: true });
for (const name of Object.keys(DOCUMENTS) as DocumentName[]) {
  writeFileSync(join(folder, `${name}.json`), documentPage(name));
}
