import { asyncapi } from './asyncapi.ts';
import { openapi } from './openapi.ts';

/** The descriptions of this contract for programs. They are the same for every daemon of one release. */
export const DOCUMENTS = { openapi: () => openapi(), asyncapi } as const;
export type DocumentName = keyof typeof DOCUMENTS;

/** As it is served. */
export const documentText = (name: DocumentName): string => JSON.stringify(DOCUMENTS[name]());
/** As `docs/api` holds it: a change of the contract is a change of lines. */
export const documentPage = (name: DocumentName): string => `${JSON.stringify(DOCUMENTS[name](), null, 1)}\n`;
