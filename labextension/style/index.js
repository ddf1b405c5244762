import './base.css';
import '../src/widget/widget.css';
import '../src/widget/datasets.css';
import '../src/widget/rollouts.css';
import '../src/widget/evaluations.css';
import '../src/widget/judgemetrics.css';
