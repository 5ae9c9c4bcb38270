import '../client/no-eval.ts';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { enter } from './daemon.ts';

const root = document.getElementById('app');
if (!root) throw new Error('the page has no #app');
root.textContent = '';
void enter();
render(<App />, root);
