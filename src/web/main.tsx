import '../client/no-eval.ts';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { enter, hasTicket } from './daemon.ts';

const root = document.getElementById('app');
if (!root) throw new Error('the page has no #app');
root.textContent = '';
void enter();
// Pasted into the address of a tab that is open, a ticket comes without a new page.
window.addEventListener('hashchange', () => {
  if (hasTicket()) void enter();
});
render(<App />, root);
