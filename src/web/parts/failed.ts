import { toOptaError } from '../../protocol/errors.ts';
import { toast } from './toasts.tsx';

/** A command that did not work, said at the edge of the page. */
export const failed = (cause: unknown): void => toast(toOptaError(cause).message, 'bad');
