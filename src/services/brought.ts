import { NOTHING_BROUGHT, type ProjectBrings } from '../config/project.ts';
import { printable } from '../tools/outcome.ts';

/**
 * What each workspace brings that runs something, as it was when the newest turn in it began: read once for a turn, so that a turn
 * does not change what it runs under by what it writes ([CF3]).
 */
export interface Brought {
  refresh(workspace: string | undefined): void;
  of(workspace: string | undefined): ProjectBrings;
  /** For the model. */
  notes(workspace: string | undefined): string[];
}

/** The longest unused is forgotten; its next turn reads it again. */
const WORKSPACES_MAX = 1_000;

export const createBrought = (read: (workspace: string) => ProjectBrings): Brought => {
  const known = new Map<string, ProjectBrings>();
  const of = (workspace: string | undefined): ProjectBrings => {
    if (workspace === undefined || workspace === '') return NOTHING_BROUGHT;
    const found = known.get(workspace) ?? read(workspace);
    known.delete(workspace);
    known.set(workspace, found);
    if (known.size > WORKSPACES_MAX) known.delete(known.keys().next().value ?? '');
    return found;
  };
  return {
    of,
    refresh(workspace) {
      if (workspace !== undefined) known.delete(workspace);
      of(workspace);
    },
    notes: (workspace) =>
      of(workspace).problems.map(
        (problem) => `A tool of the project cannot be used: ${printable(problem).slice(0, 300)}`,
      ),
  };
};
