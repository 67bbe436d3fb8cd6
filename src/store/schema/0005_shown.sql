-- An owner's people who are shown to others, by to whom: few, where most are shown to their owner alone.
CREATE INDEX persons_shown ON persons (owner, visible_to, state, id) WHERE visible_to <> 'owner';
