import type { BuildResult } from 'esbuild';

export const bundleClient: (options?: {
  write?: boolean;
  outfile?: string;
}) => Promise<BuildResult<{ metafile: true; write: false }>>;
