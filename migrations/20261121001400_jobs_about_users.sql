-- Finds the jobs about one user, which he may ask to see, however many wait.

create index jobs_about_idx on jobs
    ((coalesce(payload ->> 'user_id', payload ->> 'email', payload ->> 'phone_number')));
